"""The tables of conditions and reasons, against the words in the code of the processes."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from berth_core.reasons import TABLES
from berth_core.resources import KINDS
from berth_dev.docsgen.conditions import page
from berth_dev.paths import REPOSITORY

WORD = re.compile(r"[A-Z][A-Za-z]*[a-z][A-Za-z]*")
FOLDERS = (
    "operator",
    "api",
    "notifier",
    "ci",
    "cli/berth_cli/admin/restore",
    "core/berth_core/leases",
    "core/berth_core/machines",
    "core/berth_core/queue",
    "core/berth_core/keys",
)
MODULES = (
    "hub/berth_hub/reporting.py",
    "core/berth_core/connectors/conditions.py",
    "core/berth_core/state.py",
    "core/berth_core/builds.py",
    "core/berth_core/overrides.py",
)
OF_KUBERNETES = {
    *("ContainerCreating", "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ErrImagePull"),
    *("ImagePullBackOff", "InvalidImageName", "PodInitializing", "RunContainerError"),
    *("Pending", "Failed", "DisruptionTarget", "PodScheduled", "True", "False", "Unknown"),
    *("ExternalIP", "InternalIP", "NodePort", "IfNotPresent", "Ingress", "Egress", "Instance", "Secret"),
}
"""Words that Berth reads, or writes elsewhere than in a reason; a new word of the code is in none of both sets."""
OF_OTHERS = {"Berth", "HTTPBasic", "HTTPValidationError", "Origin", "RateLimit", "ValidationError"}
"""Words of the HTTP API."""
ACTIONS = {"Lead", "Probe", "Reconcile", "Wait", "Warn"}
"""Of Events: the operator's action."""


def words(node: ast.AST) -> Iterator[str]:
    """Yield words in CamelCase that an expression may write; comparisons, keys, manifests and types only read them."""
    match node:
        case ast.Compare() | ast.Subscript():
            children = [
                one for one in ast.iter_child_nodes(node) if not isinstance(one, ast.Constant | ast.Tuple | ast.Set)
            ]
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            children = [
                value for key, value in pairs if not (isinstance(key, ast.Constant) and isinstance(value, ast.Constant))
            ]
        case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.Call(func=ast.Name(id="TypeVar")):
            children = []
        case ast.Call(func=ast.Attribute(attr="get")):
            children = []
        case ast.AnnAssign():
            children = [node.value] if node.value else []
        case ast.arg() | ast.Expr(value=ast.Constant()):
            children = []
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            children = [node.args, *node.body]
        case _:
            children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.fullmatch(node.value):
        yield node.value
    for child in children:
        yield from words(child)


@cache
def used() -> dict[str, str]:
    """Return the words of the processes' code, each with one of its files."""
    files = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]
    files += [REPOSITORY / name for name in MODULES]
    return {word: str(path) for path in files for word in words(ast.parse(Path(path).read_text(encoding="utf-8")))}


def listed() -> set[str]:
    """Return the words of the tables."""
    return {reason.word for kind in TABLES for reason in kind.reasons} | {
        name for kind in TABLES for name in kind.types
    }


def test_each_reason_that_the_code_uses_is_in_a_table() -> None:
    others = OF_KUBERNETES | OF_OTHERS | ACTIONS
    assert {word: file for word, file in used().items() if word not in listed() | others} == {}


def test_each_reason_of_the_tables_is_one_that_the_code_uses() -> None:
    assert listed() - set(used()) - {"Event"} == set()


def test_no_word_is_set_aside_that_the_code_does_not_use() -> None:
    assert (OF_KUBERNETES | OF_OTHERS | ACTIONS) - set(used()) == set()


def test_each_reason_belongs_to_conditions_of_its_kind_and_is_there_once() -> None:
    for kind in TABLES:
        assert [one.word for one in kind.reasons if not set(one.conditions) <= set(kind.types)] == []
        pairs = Counter((condition, one.word) for one in kind.reasons for condition in one.conditions)
        assert [pair for pair, times in pairs.items() if times > 1] == []


def test_each_kind_that_has_conditions_has_a_table_and_its_schema_names_them() -> None:
    by_kind = {kind.kind: kind for kind in TABLES}
    for resource in KINDS:
        status = resource.model_fields.get("status")
        fields = getattr(status.annotation, "model_fields", {}) if status is not None else {}
        if "conditions" not in fields:
            continue
        description = fields["conditions"].description
        assert [name for name in by_kind[resource.KIND].types if name not in description] == []


def test_the_page_has_each_reason_with_its_next_step() -> None:
    text = page()
    for kind in TABLES:
        for one in kind.reasons:
            assert f"`{one.word}` | {one.when.replace('|', chr(92) + '|')} | {one.step} |" in text
