"""Objects that people write are bounded in size, and larger ones that exist go on."""

import json

import pytest

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.asking import APPLY, asking
from berth_dev.errors import ClusterError

from . import matrix
from .conftest import NAMESPACE, WORKSPACES, MakePerson, Person, introduce

ALICE = "long-alice"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:berth-operator"
LONG = {"annotations": {"example.org/long": "x" * 40_000}}


def test_an_object_that_is_too_long_already_is_written_on_and_grows_no_more(
    person: MakePerson, installed: ApiServer
) -> None:
    obj = matrix.manifest("instances", {"user": ALICE, "sshKeys": ["x" * 16_384] * 2}, name="long", **LONG)
    installed.kubectl("create", "-n", WORKSPACES, "-f", "-", stdin=json.dumps(obj))
    alice = person(ALICE, "berth-user")
    alice.patch("instance/long", {"spec": {"terminate": True}})
    # Another policy refuses an instance's owner too, and which of two policies speaks is chance.
    owned = {"user": ALICE, "instance": matrix.INSTANCE | {"user": ALICE}}
    other = matrix.manifest("reservations", owned, name="long", **LONG)
    installed.kubectl("create", "-n", WORKSPACES, "-f", "-", stdin=json.dumps(other))
    for what, metadata in (("instance/long", {"labels": {"a": "b"}}), ("reservation/long", matrix.FOREIGN)):
        with pytest.raises(
            ClusterError, match=r"bytes of labels, annotations and owners, and may have 32768: take some"
        ):
            alice.patch(what, {"metadata": metadata})
    Person(installed, OPERATOR).patch("instance/long", {"metadata": {"finalizers": ["berth.dev/fence"]}})
    alice.patch("instance/long", {"metadata": {"annotations": {"example.org/long": "x" * 30_000}}})
    alice.patch("instance/long", {"metadata": {"labels": {"a": "b"}}})


@pytest.mark.parametrize(("keys", "told"), [(["x" * 16_384, "y"], 16_385), (["\u00e9" * 8_193], 16_386)])
def test_ssh_keys_have_a_length_together(person: MakePerson, keys: list[str], told: int) -> None:
    alice, name, own = person(ALICE, "berth-user"), f"keys-{told}", {"user": ALICE}
    for plural, spec in (
        ("instances", own | {"sshKeys": keys}),
        ("reservations", own | {"instance": matrix.INSTANCE | own | {"sshKeys": keys}}),
    ):
        with pytest.raises(ClusterError, match=f"the sshKeys have {told} bytes, and may have 16384: give fewer"):
            alice.apply(matrix.manifest(plural, spec, name=name))
    alice.apply(matrix.manifest("instances", own | {"sshKeys": ["x" * 16_000, "y" * 384]}, name=name))


def test_field_managers_are_so_many_and_no_more_but_for_berth_s(installed: ApiServer) -> None:
    introduce(installed, ALICE, "berth-user")
    path = f"{matrix.collection('instances')}/managed"
    applied = matrix.manifest("instances", {"user": ALICE}, name="managed")
    with asking(installed) as ask:
        for manager in range(32):
            answer = ask(ALICE, "PATCH", f"{path}?fieldManager=m{manager}", applied, dry=False, kind=APPLY)
            assert answer.is_success, answer.text
        one_more = ask(ALICE, "PATCH", f"{path}?fieldManager=one-more", applied, dry=False, kind=APPLY)
        assert "metadata.managedFields has 33 entries, and may have 32: apply it as a field manager" in one_more.text
        fence = {"metadata": {"finalizers": ["berth.dev/fence"]}}
        assert ask(OPERATOR, "PATCH", f"{path}?fieldManager=berth", fence, dry=False).is_success
        same = ask(ALICE, "PATCH", f"{path}?fieldManager=m0", applied, dry=False, kind=APPLY)
        assert same.is_success, same.text
        ask(OPERATOR, "PATCH", path, {"metadata": {"finalizers": None}}, dry=False)
