from berth_core.overrides import conflicts, devices, node_selector
from berth_core.resources.workspacedeployment import Overrides
from berth_core.resources.workspacetype import EnvVar, Template

TEMPLATE = Template.model_validate(
    {
        "image": "x",
        "nodeSelector": {"bench": "a"},
        "devices": {"example.org/arm": 1},
        "resources": {"limits": {"a/b": 1}},
    }
)


def test_overrides_add_and_change_nothing() -> None:
    added = Overrides(node_selector={"bench": "b", "robot": "7"}, devices={"example.org/arm": 0, "a/b": 9, "memory": 1})
    assert node_selector(TEMPLATE, added) == {"bench": "a", "robot": "7"}
    assert devices(TEMPLATE, added) == {"example.org/arm": 1}
    assert conflicts(TEMPLATE, added) == [
        "nodeSelector[bench]",
        "devices[a/b]",
        "devices[example.org/arm]",
        "devices[memory]",
    ]


def test_what_is_the_same_or_new_is_no_conflict() -> None:
    added = Overrides(node_selector={"bench": "a", "robot": "7"}, devices={"example.org/arm": 1, "example.org/cam": 2})
    assert conflicts(TEMPLATE, added) == []
    assert devices(TEMPLATE, added) == {"example.org/arm": 1, "example.org/cam": 2}


def test_a_variable_has_a_plain_value_and_no_source() -> None:
    assert set(EnvVar.model_fields) == {"name", "value"}
