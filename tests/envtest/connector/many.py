"""Many connectors in one process: ``python many.py FOLDER…``, each with the real fence and links of its own."""

import asyncio
import sys
from pathlib import Path

from berth_connector.config import load
from berth_connector.identity import Identity
from berth_connector.record import Record
from berth_connector.running import Running


class Quiet(Running):
    """A connector that looks for signals and systemd once for all."""

    async def main(self) -> None:
        self._guard.start()
        await asyncio.gather(self._guard.watch(), self._links.run())


async def main(folders: list[Path]) -> None:
    runs = []
    for folder in folders:
        config = load(str(folder / "connector.conf"))
        runs.append(Quiet(config, Identity.load(config.state), Record(config.state), "0.1.0").main())
    await asyncio.gather(*runs)


if __name__ == "__main__":
    asyncio.run(main([Path(word) for word in sys.argv[1:]]))
