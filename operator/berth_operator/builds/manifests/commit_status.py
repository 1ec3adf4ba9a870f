"""How far a build is, as the status of its commit: what GitHub, GitLab and Gitea take. Pure."""

from typing import Any, Final

import orjson

from berth_core import builds, names
from berth_core.builds import Word
from berth_core.kube.types import Object
from berth_core.resources import Build, Delivery, DeliverySpec, Project, manifest

STEPS: Final = {Word.QUEUED: 1, Word.RUNNING: 2}
LAST_STEP: Final = 3
STEPS_OF_AN_ATTEMPT: Final = 10
LONGEST: Final = {"github": 140, "gitlab": 255, "gitea": 255}
"""Characters of a description."""
_PENDING: Final = dict.fromkeys((Word.QUEUED, Word.RUNNING), "pending")
_OF_GITHUB: Final = _PENDING | {
    Word.PASSED: "success",
    Word.FAILED: "failure",
    Word.ERRORED: "error",
    Word.CANCELED: "error",
}
_OF_GITLAB: Final = {
    Word.QUEUED: "pending",
    Word.RUNNING: "running",
    Word.PASSED: "success",
    Word.FAILED: "failed",
    Word.ERRORED: "failed",
    Word.CANCELED: "canceled",
}
_SAYS: Final = {
    Word.QUEUED: "waits for its turn",
    Word.RUNNING: "runs",
    Word.PASSED: "passed",
    Word.FAILED: "failed",
    Word.ERRORED: "could not be built",
    Word.CANCELED: "was canceled",
}


def commit_status(build: Build, project: Project) -> Object | None:
    """Manifest of the Delivery that tells how far a build is; None where its project names no receiver.

    None too before the repository has shown the commit: the commit that a Build names is not verified.

    Its name follows from the build, its attempt and how far that is, so that making it again finds it there. It has no
    owner: the notifier deletes it.
    """
    receiver, commit = project.spec.commit_status, build.status.commit
    if receiver is None or commit is None or build.status.attempt != build.spec.attempt:
        return None
    word, uid = builds.word(build), build.metadata.uid
    attempt, step = build.spec.attempt, STEPS.get(word, LAST_STEP)
    spec = DeliverySpec(
        url=receiver.url.replace("{sha}", commit),
        payload=orjson.dumps(_payload(receiver.provider, word, build, project)).decode(),
        form=receiver.provider,
        id=f"msg_{uid}-{attempt}-{step}",
        user=project.spec.user,
        build=build.public_id,
        token_secret=receiver.secret,
        subject=f"build {uid}",
        sequence=attempt * STEPS_OF_AN_ATTEMPT + step,
    )
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
    name = names.status_delivery(uid, attempt, step)
    return manifest(Delivery, build.metadata.namespace, name, spec, labels=labels)


def _payload(provider: str, word: Word, build: Build, project: Project) -> dict[str, Any]:
    """Body of the request, by the documentation of the provider's API."""
    # Names that clients use are anybody's to choose; that of the object is one Project's alone.
    context = f"berth/{project.metadata.namespace}/{project.metadata.name}"
    description = _description(word, build)[: LONGEST[provider]]
    if provider == "gitlab":
        ref = {"ref": build.spec.branch} if build.spec.branch is not None else {}
        return {"state": _OF_GITLAB[word], "name": context, "description": description} | ref
    return {"state": _OF_GITHUB[word], "context": context, "description": description}


def _description(word: Word, build: Build) -> str:
    status = build.status
    why = status.message if status.attempt == build.spec.attempt else None
    sentence = f"The build {_SAYS[word]}"
    return f"{sentence}: {' '.join(why.split())}" if why and word is not Word.PASSED else sentence
