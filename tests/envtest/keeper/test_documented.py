"""The Secret and the deployment of docs/how-to/lend/power.md work as they are written there."""

import re
from typing import Any

import pytest
import yaml

from berth_dev.paths import REPOSITORY

from ..operator.hooks import end, has_ended
from ..operator.lab import Lab
from ..operator.process import Operators
from .bench import borrowed
from .process import Keepers, keep, keeper_pod
from .relay import Relay

pytestmark = pytest.mark.apiserver

BLOCKS = re.findall(
    r"```yaml\n(.*?)```", (REPOSITORY / "docs/how-to/lend/power.md").read_text(encoding="utf-8"), re.DOTALL
)


def block(kind: str) -> dict[str, Any]:
    """The page's only object of a kind."""
    (found,) = [one for one in map(yaml.safe_load, BLOCKS) if one.get("kind") == kind]
    return dict(found)


async def test_the_page_s_relay_switches_the_page_s_machine_off(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start()
    await keeper_pod(lab)
    secret, wd = block("Secret"), block("WorkspaceDeployment")
    assert secret["metadata"]["namespace"] == "berth-keeper"
    assert secret["stringData"]["deployments"] == f"berth-workspaces/{wd['metadata']['name']}"
    data = {
        key: value.replace("https://192.0.2.60", pdu.url).replace("berth-workspaces/", f"{lab.namespace}/")
        for key, value in secret["stringData"].items()
    }
    await keep(lab, secret["metadata"]["name"], data | {"ca.crt": pdu.ca})
    await lab.type("lab_arm")
    await lab.deployment(wd["metadata"]["name"], "lab_arm", machine=wd["spec"]["machine"])
    await borrowed(lab, "mine", "lab_arm")
    await end(lab)
    await has_ended(lab, seconds=20)
    assert (pdu.heard, pdu.power, pdu.tokens) == (["off"], "off", ["Bearer 3f8a"])
