"""The recorder of traces waits for what is there, and not for what was there when it began to wait."""

from typing import Any, cast

from recording import KINDS, Recorder

from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object


class Lists:
    """Tells of a Secret in its first list, and then that it is gone."""

    def __init__(self) -> None:
        self._told = False

    async def list(self, kind: Kind, *_: Any, **__: Any) -> tuple[list[Object], str]:
        if kind.plural != "secrets" or self._told:
            return [], "2"
        self._told = True
        return [{"metadata": {"name": "short-lived", "resourceVersion": "1"}}], "1"


async def test_it_catches_up_though_what_a_list_showed_goes() -> None:
    recorder = Recorder(cast("Client", Lists()), "lab", "berth", _there={kind: {} for kind in KINDS})
    await recorder.caught_up()
