"""Conditions of Builds. Words of the steps are those of ``berth_ci``, which says them in its reports."""

from typing import Final

from berth_core import builds
from berth_core.reasons.table import WAIT, Conditions, Reason

_ALL: Final = (builds.RUNNING, builds.ENDED)
_RESTART: Final = "Restart the build."

_UNDERWAY: Final = (
    Reason("NotYet", (builds.RESOLVED, builds.WORKSPACE_READY), "The build's turn has not come.", WAIT),
    Reason(builds.WAITING, _ALL, "As many builds run as may.", WAIT),
    Reason("Fetching", _ALL, "The commit is looked for, and its `.berth.yml` read.", WAIT),
    Reason("Found", (builds.RESOLVED,), "The commit is found; the message names it."),
    Reason(
        builds.POSTPONED,
        (builds.WORKSPACE_READY, *_ALL),
        "Earlier builds of the user wait for machines before it.",
        WAIT,
    ),
    Reason(builds.WAITING, (builds.WORKSPACE_READY,), "The build waits for a machine in the queue.", WAIT),
    Reason(builds.STARTING, (builds.WORKSPACE_READY, *_ALL), "The build's machine starts.", WAIT),
    Reason(builds.READY, (builds.WORKSPACE_READY,), "The machine is the build's own."),
    Reason("CheckingOut", _ALL, "The commit is checked out, or the script's image pulled.", WAIT),
    Reason("Script", _ALL, "The script runs.", "Follow it with `berth ci logs --follow`."),
    Reason("Packing", _ALL, "The artifacts are packed.", WAIT),
    Reason("Keeping", (builds.ENDED,), "Log and artifacts are being kept.", WAIT),
    Reason("Ending", (builds.ENDED,), "The verdict is written; the machine goes back.", WAIT),
)
_VERDICTS: Final = (
    Reason(builds.PASSED, _ALL, "The script succeeded."),
    Reason(builds.SCRIPT_FAILED, _ALL, "The script ended with another exit code than 0.", "Read the log."),
    Reason(builds.CANCELED, _ALL, "Somebody canceled the build, or restarted it before it was over."),
    Reason(
        "Timeout", _ALL, "The script ran for longer than it may.", "Shorten it, or raise `timeout` in `.berth.yml`."
    ),
    Reason("ProjectMissing", _ALL, "There is no such Project.", "Make the Project, then restart the build."),
    Reason("NotTheProjects", _ALL, "The project is another user's.", "Build a project of your own."),
    Reason("NotAllowed", _ALL, "The user may not build here.", "Ask for it in the value `ci.allowedUsers`."),
    Reason("TooManyWaiting", _ALL, "As many builds of the user wait as may.", "Cancel some, or wait for them."),
    Reason(
        "RepositoryForbidden",
        _ALL,
        "Builds may not connect to the repository's address or port.",
        "Ask for it in `ci.allowedCidrs` or `ci.repositoryPorts`.",
    ),
    Reason("PodLost", _ALL, "The pod was lost before the script had ended, such as with its node.", _RESTART),
    Reason(
        "FetchTimeout", _ALL, "The commit was not found within 5 minutes.", "Restart the build; check the repository."
    ),
    Reason(
        "FetchFailed", _ALL, "The repository could not be looked into.", "Follow the message, then restart the build."
    ),
    Reason(
        "StartTimeout",
        _ALL,
        "No pod could be made, or the script did not begin, in time.",
        "Ask for room in the namespace's quotas, then restart the build.",
    ),
    Reason("ImageFailed", _ALL, "The script's image cannot be pulled or used.", "Correct `image` in `.berth.yml`."),
    Reason(
        "ImageForbidden", _ALL, "The image is of a registry that is not allowed.", "Ask for it in `ci.allowedImages`."
    ),
    Reason(
        "WallMissing",
        _ALL,
        "No NetworkPolicy was seen to keep the build's pod from machines, so nothing of it ran.",
        "Have an administrator do what the message says, then restart the build.",
    ),
    Reason("CheckoutFailed", _ALL, "The commit could not be checked out.", _RESTART),
    Reason("WorkspaceUnknown", _ALL, "There is no such type.", "Correct `workspace` in `.berth.yml`."),
    Reason(
        "WorkspaceRefused",
        _ALL,
        "The user may have no deployment of the type, or the cluster refuses the Instance.",
        "Ask the owner for an access rule.",
    ),
    Reason("WorkspaceFailed", _ALL, "The build's machine ended.", "Follow the message, then restart the build."),
    Reason("ClusterRefused", _ALL, "The cluster refuses what the build makes.", "Follow the message."),
    Reason(
        "CredentialsMissing",
        _ALL,
        "The Secret of the project's credentials is not there.",
        "Make the Secret beside the Project, then restart the build.",
    ),
    Reason(
        "NameTaken",
        _ALL,
        "Another object has a name that the build needs.",
        "Delete that object, then restart the build.",
    ),
)
_REPORTS: Final = (
    Reason("BranchNotFound", _ALL, "The repository has no such branch or tag.", "Correct the branch."),
    Reason("CommitNotFound", _ALL, "The repository has no such commit.", "Push the commit, or correct it."),
    Reason("CommitNotOnBranch", _ALL, "The commit is not on the branch.", "Correct the branch or the commit."),
    Reason("RecipeMissing", _ALL, "The commit has no file `.berth.yml`.", "Add the file to the repository."),
    Reason("RecipeInvalid", _ALL, "The file `.berth.yml` cannot be understood.", "Correct what the message says."),
    Reason("RepositoryDenied", _ALL, "The repository refuses the credentials, or asks for some.", "Correct them."),
    Reason("RepositoryNotFound", _ALL, "There is no repository at the URL.", "Correct the project's URL."),
    Reason("RepositoryUnreachable", _ALL, "The repository's host does not answer.", "Check the host, then restart."),
    Reason("RepositoryTooSlow", _ALL, "The repository sends too slowly.", _RESTART),
    Reason("GitFailed", _ALL, "git failed for another reason.", "Follow git's words in the message."),
    Reason("CredentialsUnfit", _ALL, "The credentials do not suit the URL.", "Correct the URL or the Secret."),
    Reason(
        "MachineUnreachable", _ALL, "ssh of the build's machine did not answer.", "Restart the build; check the type."
    ),
)
_TOLD: Final = (
    Reason("DeliveryMade", (builds.TOLD,), "The Delivery is made; its own status says how it went."),
    Reason(
        "DeliveryRefused",
        (builds.TOLD,),
        "The cluster refuses the Delivery.",
        "Correct what the message says; the next state is told again.",
    ),
)
TABLES: Final = (
    Conditions(
        "Build",
        {
            builds.RESOLVED: "The commit was found, and its `.berth.yml` says what to do.",
            builds.WORKSPACE_READY: "The build's machine is there; only for builds that need one.",
            builds.RUNNING: "The build counts among those that run at the same time.",
            builds.ENDED: "Nothing is left to do. The reason is also `status.reason`.",
            builds.TOLD: "The Delivery of the latest state was made; only where the project has a receiver.",
        },
        (*_UNDERWAY, *_VERDICTS, *_REPORTS, *_TOLD),
    ),
)
