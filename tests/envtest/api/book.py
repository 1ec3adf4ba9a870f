"""The records of requests with an `Idempotency-Key`, as an administrator sees them."""

import base64
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from berth_api.idempotency.replay import digest_of
from berth_core import names
from berth_core.kube.types import Kind
from berth_core.resources import Instance

from .world import World

SECRETS = Kind("v1", "secrets")


def fresh() -> dict[str, str]:
    """Headers with a key that nobody has used."""
    return {"Idempotency-Key": str(uuid.uuid4())}


@dataclass
class Book:
    """The records in the cluster, as an administrator sees them."""

    world: World

    async def read(self, key: dict[str, str], user: str = "alice") -> dict[str, Any]:
        """The Secret of a key."""
        name = f"idem-{digest_of(user, key['Idempotency-Key'])}"
        return await self.world.client.get(SECRETS, self.world.namespaces.access, name)

    async def fields(self, key: dict[str, str], user: str = "alice") -> dict[str, Any]:
        """Fields of the record."""
        read: dict[str, Any] = json.loads(base64.b64decode((await self.read(key, user))["data"]["record"]))
        return read

    async def rewrite(self, key: dict[str, str], user: str = "alice", *, age: float, **changes: object) -> None:
        """Make a record look as if its request had begun so many seconds ago; None takes a field away."""
        secret, fields = await self.read(key, user), await self.fields(key, user)
        fields = fields | {"started": time.time() - age} | changes
        fields = {name: value for name, value in fields.items() if value is not None}
        data = {"record": base64.b64encode(json.dumps(fields).encode()).decode()}
        await self.world.client.patch(SECRETS, self.world.namespaces.access, secret["metadata"]["name"], {"data": data})

    async def forget(self, key: dict[str, str], user: str = "alice") -> None:
        """Let the record have expired, and be cleared away."""
        name = (await self.read(key, user))["metadata"]["name"]
        await self.world.client.delete(SECRETS, self.world.namespaces.access, name)

    async def made(self, key: dict[str, str], user: str = "alice") -> list[Instance]:
        """Instances that requests with the key made."""
        labels = {names.IDEMPOTENCY_LABEL: digest_of(user, key["Idempotency-Key"])}
        objects, _ = await self.world.client.list(Instance.api(), self.world.namespaces.workspaces, labels=labels)
        return [Instance.parse(obj) for obj in objects]
