"""Records of requests with an ``Idempotency-Key``: a Secret for each user and key, since answers are the user's own.

Times are the store's. The recorded start is never too early and the present never too late, so no replica takes a
record for older than it is, however their clocks differ.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from berth_api.http.errors import AwayError
from berth_api.idempotency.replay import KEY_FIELD, Answer, Phase, Record, Step, judge
from berth_api.ratelimit.allowance import KEPT_SECONDS
from berth_core import ids, names
from berth_core.kube import errors as cluster
from berth_core.kube import model
from berth_core.kube.client import Client
from berth_core.kube.clock import StoreClock
from berth_core.kube.types import Kind, Object

SECRETS: Final = Kind("v1", "secrets")
RECORD: Final = "record"
ATTEMPTS: Final = 8


@dataclass(frozen=True, repr=False)
class Entry:
    """A record as it stands in the cluster."""

    record: Record
    digest: str
    uid: str
    version: str
    created: float
    """Time when the store made the record, to the second, in seconds since the Epoch."""


class Records:
    """The records of one access namespace."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    @property
    def _clock(self) -> StoreClock:
        return self._client.clock

    async def begin(self, digest: str, fingerprint: str) -> tuple[Step | None, Entry]:
        """Make the record, or judge the existing one; None: the record is new, so the request is the first.

        For ``TAKE_OVER`` the record has been taken over already, exclusively. The store's time must be known. Raises
        ClusterError, AwayError.
        """
        for _ in range(ATTEMPTS):
            _, now = self._clock.bounds()
            entry: Entry | None
            try:
                entry = await self._create(digest, Record(fingerprint, Phase.STARTED, now, now + KEPT_SECONDS))
                # The answer corrects the time of a process that had been stopped; it begins anew.
                step = None if now >= entry.created else Step.REPLACE
            except cluster.AlreadyExistsError:
                entry = await self._find(digest)
                if entry is None:
                    continue
                earliest, now = self._clock.bounds()
                step = judge(entry.record, fingerprint, earliest)
            try:
                if step is Step.REPLACE:
                    await self.drop(entry)
                elif step is Step.TAKE_OVER:
                    return step, await self._write(entry, replace(entry.record, phase=Phase.STARTED, started=now))
                else:
                    return step, entry
            except (cluster.ConflictError, cluster.NotFoundError):
                continue  # another request replaces the record, or takes it over
        raise AwayError("others use the same Idempotency-Key at this moment. Try again.")

    async def exists(self, digest: str) -> bool:
        """Whether there is a record, live. Raises ClusterError."""
        return await self._find(digest) is not None

    async def complete(self, entry: Entry, answer: Answer, *, user: str) -> None:
        """Keep the answer. Raises ClusterError; ConflictError where another request has taken the record over.

        A refusal gets the user's label: the operator deletes a user's oldest beyond a number.
        """
        labels = {names.REFUSED_LABEL: ids.user_object(user)} if answer.is_refusal else {}
        await self._write(entry, replace(entry.record, phase=Phase.ANSWERED, answer=answer), labels)

    async def mark_unsure(self, entry: Entry) -> None:
        """Note that the request failed, and may have made something. Raises ClusterError."""
        await self._write(entry, replace(entry.record, phase=Phase.UNSURE))

    async def drop(self, entry: Entry) -> None:
        """Forget the record. Raises ClusterError; ConflictError where another request has taken the record over."""
        where = self._namespace, _name(entry.digest)
        await self._client.delete(SECRETS, *where, uid=entry.uid, resource_version=entry.version)

    async def _create(self, digest: str, record: Record) -> Entry:
        expires = model.timestamp(datetime.fromtimestamp(int(record.expires), UTC))
        metadata: Object = {
            "name": _name(digest),
            "namespace": self._namespace,
            "labels": {names.IDEMPOTENCY_LABEL: digest, names.MANAGED_BY_LABEL: names.MANAGED_BY},
            "annotations": {names.EXPIRES_ANNOTATION: expires},
        }
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": _data(record)}
        obj = await self._client.create(SECRETS, self._namespace, body)
        return _entry(digest, record, obj)

    async def _find(self, digest: str) -> Entry | None:
        try:
            obj = await self._client.get(SECRETS, self._namespace, _name(digest))
        except cluster.NotFoundError:
            return None
        return _entry(digest, _read(obj), obj)

    async def _write(self, entry: Entry, record: Record, labels: Mapping[str, str] | None = None) -> Entry:
        metadata = {"uid": entry.uid, "resourceVersion": entry.version, "labels": dict(labels or {})}
        body = {"metadata": metadata, "data": _data(record)}
        obj = await self._client.patch(SECRETS, self._namespace, _name(entry.digest), body)
        return _entry(entry.digest, record, obj)


def _name(digest: str) -> str:
    return f"idem-{digest}"


def _entry(digest: str, record: Record, obj: Object) -> Entry:
    metadata = obj["metadata"]
    created = model.parse_time(metadata["creationTimestamp"]).timestamp()
    return Entry(record, digest, metadata["uid"], metadata["resourceVersion"], created)


def _data(record: Record) -> dict[str, str]:
    fields: dict[str, Any] = {
        "fingerprint": record.fingerprint,
        "phase": record.phase.value,
        "started": record.started,
    }
    if record.answer is not None:
        fields["answer"] = {
            "status": record.answer.status,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in record.answer.headers],
            "body": base64.b64encode(record.answer.body).decode(),
            "key_of": record.answer.key_of,
            "key_field": record.answer.key_field,
        }
    return {RECORD: base64.b64encode(orjson.dumps(fields)).decode()}


def _read(obj: Object) -> Record:
    fields = orjson.loads(base64.b64decode(obj["data"][RECORD]))
    answer = fields.get("answer")
    return Record(
        fingerprint=fields["fingerprint"],
        phase=Phase(fields["phase"]),
        started=fields["started"],
        expires=model.parse_time(obj["metadata"]["annotations"][names.EXPIRES_ANNOTATION]).timestamp(),
        answer=_read_answer(answer) if answer is not None else None,
    )


def _read_answer(fields: dict[str, Any]) -> Answer:
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields["headers"])
    key_of, key_field = fields.get("key_of"), fields.get("key_field") or KEY_FIELD
    return Answer(fields["status"], headers, base64.b64decode(fields["body"]), key_of, key_field)
