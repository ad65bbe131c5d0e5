"""What a value of each kind may be; how variables are named."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.table.row import Kind, Place, Row
from chargerd.ocpp.variable import Variable, key, split, split_name
from tests.unit.ocpp.station_rig import config


def variable(kind: Kind, **more: Any) -> Variable:
    return Variable(Row("Component", "Name", kind, "", **more), Place(config()))


@pytest.mark.parametrize(
    ("kind", "more", "good", "bad"),
    [
        ("integer", {"low": 1, "high": 9}, "1 9 +3", "0 10 1.5 1e1 x ٣"),
        ("decimal", {"low": -1, "high": 9}, "-1 9 2.5 3", "-1.1 9.01 1e1 x NaN .5"),
        ("boolean", {}, "true false", "True 1 yes"),
        ("OptionList", {"values": ("A", "B")}, "A B", "C A,B a"),
        ("MemberList", {"values": ("A", "B")}, "A A,B B,A", "C A,C A,A"),
        ("SequenceList", {"values": ("1", "2")}, "1 2,1", "3 1,1"),
        ("MemberList", {}, "A C,D", ""),
        ("string", {"low": 2, "high": 3}, "ab abc", "a abcd"),
    ],
)
def test_values(kind: Kind, more: dict[str, Any], good: str, bad: str) -> None:
    made = variable(kind, **more)
    assert [value for value in good.split() if made.check(value)] == []
    assert [value for value in bad.split() if not made.check(value)] == []


def test_an_empty_list_and_an_empty_text_are_values() -> None:
    assert variable("MemberList", values=("A",)).check("") is None
    assert variable("string", high=3).check("") is None


def test_names() -> None:
    assert key("A", 0, 0, "B", "") == "A.B"
    assert key("A[1]", 2, 3, "B", "c") == "A[1]@2:3.B[c]"
    assert split_name("A[1]") == ("A", "1")
    assert split_name("A") == ("A", "")
    assert split(" a, b ,,c") == ["a", "b", "c"]
