"""The chain: a change, removal or exchange of lines shows, with its place; a power cut
costs only the line under way; a cut-off end shows to who has noted the newest hash."""

from __future__ import annotations

import errno
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.records import chain
from chargerd.records import files as files_module
from chargerd.records import ledger as ledger_module
from chargerd.records.errors import RecordsError
from chargerd.records.ledger import Ledger
from tests.unit.records.test_ring import room


def lines(count: int) -> list[str]:
    found, head = [], chain.START
    for number in range(1, count + 1):
        line, head = chain.link(number, head, {"kind": "slot", "import_wh": number})
        found.append(line.rstrip("\n"))
    return found


def verdict(found: list[str], head: str = "") -> chain.Verdict:
    return chain.verify(((f"f:{n}", line) for n, line in enumerate(found, 1)), head)


def test_a_whole_chain_holds() -> None:
    found = lines(5)
    head = json.loads(found[-1])["hash"]
    assert verdict(found) == chain.Verdict(5, 1, head)
    assert verdict(found[2:]) == chain.Verdict(3, 3, head)  # the oldest may go
    assert verdict([]) == chain.Verdict(0, 0, "")


@settings(deadline=None)
@given(st.data())
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    found = lines(4)
    at = data.draw(st.integers(0, 3))
    where = data.draw(st.integers(0, len(found[at]) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
    line = found[at][:where] + other + found[at][where + 1 :]
    if line == found[at]:
        return
    verdict_ = verdict([*found[:at], line, *found[at + 1 :]])
    assert verdict_.broken.startswith((f"f:{at + 1}:", f"f:{at + 2}:"))
    assert verdict_.links <= at + 1


def _honest(number: int, previous: str, **record: Any) -> str:
    return chain.link(number, previous, record)[0].rstrip("\n")


@pytest.mark.parametrize(
    ("forged", "place", "why"),
    [
        ([0, 2, 3], "f:2", "stands where 2 belongs"),  # one taken out
        ([0, 2, 1, 3], "f:2", "stands where 2 belongs"),
        ([0, 0, 1], "f:2", "stands where 2 belongs"),
        ([1, 2, 3], "", ""),  # the oldest deleted to make room
    ],
)
def test_lines_taken_out_or_moved(forged: list[int], place: str, why: str) -> None:
    found = lines(4)
    broken = verdict([found[n] for n in forged]).broken
    assert why in broken
    assert broken.startswith(place)


def test_a_forged_line_with_a_hash_of_its_own_breaks_the_next() -> None:
    found = lines(3)
    previous = json.loads(found[0])["hash"]
    found[1] = _honest(2, previous, kind="slot", import_wh=999_999)
    broken = verdict(found).broken
    assert broken == "f:3: record 3 does not follow the one before it"


def test_a_first_record_has_none_before_it() -> None:
    """Records may be cut off in front, but not the number be forged to hide it."""
    line = _honest(1, "0" * 63 + "1", kind="slot", import_wh=1)
    assert verdict([line]).broken == "f:1: record 1 names another one before it"
    assert verdict(lines(3)[1:]).broken == ""


def test_a_cut_off_end_shows_against_a_noted_hash() -> None:
    found = lines(4)
    head = json.loads(found[-1])["hash"]
    assert verdict(found[:3]).broken == ""  # nothing in it says that one is missing
    assert "rewritten or cut off" in verdict(found[:3], head).broken
    assert verdict(found, head).broken == ""
    assert verdict(found, json.loads(found[1])["hash"]).broken == ""  # an older note


@pytest.mark.parametrize(
    "line",
    ["", "x", "[]", "{}", '{"n":"1","previous":"","record":{},"hash":""}', "[" * 9999],
)
def test_what_is_no_link(line: str) -> None:
    with pytest.raises(chain.BadLine):
        chain.read(line)
    assert verdict([line]).broken.startswith("f:1:")


def _records(folder: Path) -> list[int]:
    return [link.record["v"] for link in Ledger(folder).links()]


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_power_cut_costs_only_the_lines_under_way(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Ledger(folder).append([{"v": n} for n in range(4)])
        (path,) = folder.iterdir()
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        kept = whole[:cut].count(b"\n")
        assert Ledger(folder).verify().links == kept  # a reader is not troubled

        ledger = Ledger(folder)
        ledger.append([{"v": 9}])
        assert _records(folder) == [*range(kept), 9]
        assert ledger.torn_bytes == cut - (whole[:cut].rfind(b"\n") + 1)
        found = Ledger(folder).verify(ledger.head)
        assert (found.links, found.broken) == (kept + 1, "")


def test_the_chain_goes_on_over_files_and_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "FILE_BYTES", 500)
    monkeypatch.setattr(ledger_module, "FILES", 5)
    for number in range(30):
        Ledger(tmp_path).append([{"v": number}])
    assert len(list(tmp_path.iterdir())) == 5
    found = Ledger(tmp_path).verify()
    assert found.broken == ""
    assert found.first > 1
    assert _records(tmp_path)[-1] == 29
    assert found.links == 30 - found.first + 1


def test_a_damaged_end_begins_a_new_chain_and_stays_visible(tmp_path: Path) -> None:
    Ledger(tmp_path).append([{"v": 1}, {"v": 2}])
    path = tmp_path / "00000001.jsonl"
    path.write_bytes(path.read_bytes()[:-20] + b"\x00\xff garbage\n")
    ledger = Ledger(tmp_path)
    ledger.append([{"v": 3}])
    assert "00000001.jsonl" in ledger.lost
    found = ledger.verify()
    assert found.links == 1
    assert found.broken.startswith("00000001.jsonl:2: no record")
    with pytest.raises(RecordsError, match=r"00000001\.jsonl:2"):
        list(ledger.links())


def test_what_cannot_be_kept_leaves_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append([{"v": 1}])
    with pytest.raises(RecordsError, match="no JSON"):
        ledger.append([{"v": 2}, {"v": float("nan")}])
    (path,) = tmp_path.iterdir()
    with room(path.stat().st_size + 50), pytest.raises(OSError, match="too large"):
        ledger.append([{"v": 2}])
    ledger.append([{"v": 3}])
    assert _records(tmp_path) == [1, 3]
    assert ledger.verify().broken == ""


def test_a_folder_that_cannot_be_synced_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(errno.EINVAL, "not on this file system")

    ledger = Ledger(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(files_module, "sync_folder", refuse)
        with pytest.raises(OSError, match="file system"):
            ledger.append([{"v": 1}])
    ledger.append([{"v": 1}])
    assert _records(tmp_path) == [1]
    assert ledger.verify().broken == ""
