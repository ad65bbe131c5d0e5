"""The requirement table says what the tests say, and nothing else.

That each named test has run and passed is checked at the end of a whole run, by
tests/conftest.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests import requirements
from tests.requirements import ID, STATUSES, Row

ROWS = requirements.read()
OPEN = Row("B05.FR.01", "B", "B05", "station", "open", "", "")


def test_every_row_is_well_formed_and_there_once() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert ID.fullmatch(row.id), row
        assert row.status in STATUSES, row
        assert row.side in ("station", "csms"), row
        assert (row.status == "done") == bool(row.tests), row
        assert row.status != "n/a" or row.reason, f"{row.id}: n/a needs a reason"


def test_all_requirements_of_the_text_and_its_errata_are_there() -> None:
    assert len(ROWS) == 1910  # Edition 1 part 2 (1843) and the errata of 2025-09 (67)


def test_done_is_what_tests_carry() -> None:
    assert requirements.synced(ROWS, requirements.marks()) == ROWS, (
        "run: python -m tests.requirements sync"
    )


@pytest.mark.parametrize(
    ("row", "carried", "after"),
    [
        (OPEN, {}, OPEN),
        (
            replace(OPEN, reason="no hardware"),
            {OPEN.id: ["a::b", "c::d"]},
            replace(OPEN, status="done", tests="a::b; c::d"),
        ),
        (replace(OPEN, status="done", tests="a::b"), {}, OPEN),
    ],
)
def test_a_mark_makes_a_row_done_and_its_loss_opens_it(
    row: Row, carried: dict[str, list[str]], after: Row
) -> None:
    assert requirements.synced([row], carried) == [after]


def test_a_mark_of_no_requirement_is_an_error() -> None:
    with pytest.raises(SystemExit, match="B99"):
        requirements.synced([OPEN], {"B99.FR.01": ["a::b"]})
