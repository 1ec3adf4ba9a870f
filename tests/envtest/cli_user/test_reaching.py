"""Firewall, VPN, configuration, refusals and completion of `berth` for people with a token."""

import json
import stat

import pytest

from ..api.process import Api
from ..api.signing import Signer
from ..api.world import World
from .conftest import Person

pytestmark = pytest.mark.apiserver


async def test_rules_are_shown_added_and_cleared(world: World, person: Person) -> None:
    kind = await world.type(deployments=1)
    ada = person("ada")
    id_ = ada.berth("new", kind, "-o", "name").out.strip()
    await world.make_ready(id_)
    ada.berth("firewall", "clear")
    allowed = ada.berth("firewall", "allow", "192.0.2.0/24", "198.51.100.7")
    assert allowed.code == 0, allowed.err
    assert [line.split() for line in allowed.out.splitlines()] == [
        ["ORDER", "SOURCE", "ACTION"],
        ["1", "192.0.2.0/24", "ACCEPT"],
        ["2", "198.51.100.7/32", "ACCEPT"],
    ]
    denied = ada.berth("firewall", "deny", id_, "192.0.2.7", "--reject", "-o", "json")
    assert json.loads(denied.out)[2] == {"order": 3, "source": "192.0.2.7/32", "action": "REJECT"}
    assert "192.0.2.7 stays as the earlier rule 192.0.2.0/24 ACCEPT says" in denied.err
    assert ada.berth("firewall", "show", kind, "-o", "name").out.split()[0] == "192.0.2.0/24"
    mine = ada.berth("firewall", "allow", "-o", "json")
    assert json.loads(mine.out)[3] == {"order": 4, "source": "127.0.0.1/32", "action": "ACCEPT"}
    assert ada.berth("firewall", "deny").code == 2
    assert ada.berth("firewall", "allow", id_, "192.0.2").code == 2
    cleared = ada.berth("firewall", "clear")
    assert (cleared.code, cleared.out) == (0, "")
    assert "nobody gets in" in cleared.err


async def test_a_vpn_that_was_not_asked_for(world: World, person: Person) -> None:
    kind = await world.type(deployments=1)
    ada = person("ada")
    id_ = ada.berth("new", kind, "-o", "name").out.strip()
    assert "has no VPN: `berth new --vpn`" in ada.berth("vpn", "show").err
    refused = ada.berth("vpn", "get", id_)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == f"berth: instance {id_} has no VPN: `berth new --vpn` asks for one\n"


def test_contexts_are_written_chosen_and_shown(api: Api, signer: Signer, person: Person) -> None:
    ada = person("ada")
    nowhere = {"BERTH_API": "", "BERTH_TOKEN": ""}
    asked = ada.berth("list", **nowhere)
    assert asked.code == 2
    assert "Set BERTH_API and BERTH_TOKEN, or write a context" in asked.err
    token = signer.token("ada")
    added = ada.berth("config", "add", "lab", "--api", api.url, "--token-stdin", stdin=f"{token}\n", **nowhere)
    assert added.code == 0, added.err
    path = ada.home / "config" / "berth" / "config.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ada.berth("list", **nowhere).code == 0
    (ada.home / "other.token").write_text("not a token\n")
    ada.berth("config", "add", "other", "--api", api.url, "--token-file", "other.token", **nowhere)
    assert ada.berth("list", "--context", "other", **nowhere).code == 5
    assert ada.berth("list", BERTH_CONTEXT="other", **nowhere).code == 5
    assert ada.berth("list", "--context", "other").code == 5, "a named context counts for more than the environment"
    assert ada.berth("config", "use", "other", **nowhere).out == "other is the current context\n"
    assert ada.berth("list", **nowhere).code == 5
    shown = ada.berth("config", "show", "-o", "json", **nowhere)
    assert [(one["name"], one["current"]) for one in json.loads(shown.out)] == [("lab", False), ("other", True)]
    assert token not in shown.out + ada.berth("config", "show", **nowhere).out
    assert ada.berth("config", "use", "nobody", **nowhere).code == 4
    path.chmod(0o644)
    assert f"chmod 600 {path}" in ada.berth("list", "--context", "lab", **nowhere).err


def test_the_historic_variable_is_a_token_too(signer: Signer, person: Person) -> None:
    assert person("ada").berth("list", BERTH_TOKEN="", REROBOTS_API_TOKEN=signer.token("ada")).code == 0


async def test_refusals_name_the_next_step(world: World, person: Person) -> None:
    ada = person("ada")
    nobody = ada.berth("list", BERTH_TOKEN="")
    assert nobody.code == 5
    assert "this needs a token" in nobody.err
    wrong = ada.berth("list", BERTH_TOKEN="a.b.c")
    assert wrong.code == 5
    assert "wrong, expired or revoked" in wrong.err
    assert "a.b.c" not in wrong.err
    away = ada.berth("types", BERTH_API="http://127.0.0.1:1")
    assert (away.code, away.err.count("\n")) == (3, 1)
    assert "no answer from http://127.0.0.1:1" in away.err
    assert ada.berth("types", BERTH_API="127.0.0.1").code == 2
    unknown = ada.berth("new", "no_such_type")
    assert unknown.code == 4
    assert "`berth types`" in unknown.err
    kind = await world.type(deployments=1)
    theirs = person("eve").berth("new", kind, "-o", "name").out.strip()
    for words in (["info"], ["end"], ["firewall", "show"], ["ssh"], ["extend"]):
        refused = ada.berth(*words, theirs)
        assert (refused.code, refused.err) == (4, "berth: instance not found: `berth list` shows yours\n")


@pytest.mark.alone
async def test_shells_complete_types_and_instances(world: World, person: Person) -> None:
    kind = await world.type(deployments=1)
    ada = person("ada")
    id_ = ada.berth("new", kind, "-o", "name").out.strip()

    def completed(line: str, **changes: str) -> list[str]:
        words = {"_BERTH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        return ada.berth(**words, **changes).out.split()

    assert kind in completed(f"berth new {kind[:5]}")
    assert completed("berth info ") == [id_]
    assert completed("berth vpn ") == ["show", "get", "revoke"]
    assert completed("berth info ", BERTH_API="http://127.0.0.1:1") == []
    script = ada.berth("completion", "bash").out
    assert "_BERTH_COMPLETE=complete_bash" in script
