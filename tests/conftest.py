"""For the whole suite: the stories of real processes come first.

They mostly wait, so the two workers of `make test` fill their waits with the rest; at
the end, one worker alone would wait for them.
"""

from __future__ import annotations

import pytest

STORIES = ("tests/scenario/", "tests/fault/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After pytest-randomly has shuffled; stable beyond that."""
    items.sort(key=lambda item: not item.nodeid.startswith(STORIES))
