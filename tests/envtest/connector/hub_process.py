"""A replica of the hub whose Connectors lie in a file: ``python hub_process.py FOLDER PORT REPLICA REPLICAS``.

It is the real port with real links. Only the cluster is played: a changed file is what a watch would tell.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from berth_core.connectors import trust
from berth_core.resources import Connector
from berth_hub import server
from berth_hub.judging import Pending
from berth_hub.links import Links
from berth_hub.roster import Roster
from berth_hub.server import Server


async def main(folder: Path, port: int, replica: str, replicas: int) -> None:
    roster, links = Roster(), Links(lambda _: None)
    roster.listen(links.heard)
    document = (folder / "trust.json").read_text()

    async def live(connector: Connector) -> Connector | None:
        return roster.get(connector.metadata.uid)

    async def write(connector: Connector, pending: Pending) -> None:
        assert pending.request is not None
        (folder / f"request-{connector.metadata.uid}.json").write_text(pending.request.model_dump_json())

    hub = Server(
        roster=roster,
        linked=links,
        trust=document,
        keys=trust.keys(document),
        clock=lambda: datetime.now(UTC),
        live=live,
        write=write,
        replica=replica,
        replicas=lambda: replicas,
        bundle=b"",
    )
    await hub.start(port, server.context(folder))
    watching = asyncio.ensure_future(links.watch(lambda: datetime.now(UTC), roster))
    seen: dict[str, dict[str, object]] = {}
    while not watching.done():
        text = (folder / "connectors.json").read_text()
        objects = json.loads(text)
        for name in seen.keys() - objects.keys():
            gone = seen.pop(name)
            roster.cache.remove({**gone, "metadata": {**gone["metadata"], "resourceVersion": str(1 << 40)}})  # type: ignore[dict-item]
        for name, obj in objects.items():
            if seen.get(name) != obj:
                seen[name] = obj
                roster.cache.hear(obj)
        (folder / f"links-{replica}.json").write_text(json.dumps([one.uid for one in links.all()]))
        (folder / f"seen-{replica}.json").write_text(text)
        await asyncio.sleep(0.02)
    watching.result()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
