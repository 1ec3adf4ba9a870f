"""A plugin of pytest: the JUnit file has the whole name of each test, and whether it holds an invariant."""

import pytest

from berth_dev.gate.outcomes import INVARIANT, NODE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its properties."""
    for item in items:
        item.user_properties.append((NODE, item.nodeid))
        if item.get_closest_marker(INVARIANT) is not None:
            item.user_properties.append((INVARIANT, INVARIANT))
