"""A signed text finds its session's record, in whatever order they come; a text that
was changed, or says another energy, shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from chargerd.model import EvseReport
from chargerd.records import signature_check
from chargerd.records.chain import Record
from chargerd.records.settle import Settlement
from firmware_bridge.api import Reading, SignedReading
from tests.unit.records.test_books import METER, report
from tests.unit.records.test_ocmf import public, reading, written

KEY = ec.generate_private_key(ec.SECP256R1())
HEX = public(KEY, point=True).hex()


def text(
    session: str = "S-1", moved_kwh: float = 0.05, page: int = 1, status: str = "G"
) -> str:
    rows = [
        reading("B", 0.1),
        reading("B", 2.0, RI="1-0:2.8.0"),
        reading("E", 0.1 + moved_kwh, RI="1-0:1.8.0", ST=status),
        reading("E", 2.003, RI="1-0:2.8.0"),
    ]
    head = {"FV": "1.0", "PG": f"T{page}", "MS": "M-1", "ID": session}
    return written({**head, "IS": True, "IT": "LOCAL", "RD": rows}, KEY)


TEXT = text()


def told(mono: float, value: SignedReading | None, **more: Any) -> EvseReport:
    found = report(mono, **more)
    signed = None if value is None else Reading(value, mono)
    telemetry = replace(found.snapshot.telemetry, signed=signed)
    return replace(found, snapshot=replace(found.snapshot, telemetry=telemetry))


OPEN = SignedReading(public_key=HEX, open_id="S-1")
DONE = SignedReading(TEXT, "S-1", HEX)
FAILED = SignedReading("", "S-1", HEX, "", "the meter could not sign: SHA")


def drive(steps: list[tuple[SignedReading | None, str]]) -> list[Record]:
    """One report a second; 50 Wh in and 3 out over the first session."""
    book, due = Settlement(1, "ST-1", METER), []
    for second, (value, session) in enumerate(steps):
        moved = min(1.0, second / 3.0)
        registers = (100.0 + 50.0 * moved, 2000.0 + 3.0 * moved)
        due += book.step(
            told(float(second), value, session=session, registers=registers), 0.0
        )
    return [r for r in due + book.close() if r["kind"] != "slot"]


RUN: list[tuple[SignedReading | None, str]] = [(OPEN, "S-1")] * 4


@pytest.mark.parametrize(
    "end",
    [
        [(DONE, "S-1"), (DONE, ""), (DONE, "")],
        [(DONE, ""), (DONE, "")],
        [(OPEN, ""), (OPEN, ""), (DONE, "")],
        [(OPEN, "S-2"), (replace(DONE, open_id="S-2"), "S-2")],
    ],
    ids=["before plug-out", "with it", "after it", "next vehicle there"],
)
def test_the_text_is_in_its_session_s_record(
    end: list[tuple[SignedReading | None, str]],
) -> None:
    found = drive(RUN + end)[0]
    assert (found["kind"], found["session_id"]) == ("session", "S-1")
    expected = {"format": "OCMF", "text": TEXT, "public_key": HEX}
    assert found["meter_signatures"] == [expected]
    assert "signature_fault" not in found
    assert signature_check.check(found) == (1, "")
    assert signature_check.check(found, (HEX,)) == (1, "")


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ([(FAILED, ""), (FAILED, "")], "SHA"),
        ([(OPEN, "")] * 25, "in time"),
        ([(OPEN, "")], "could not wait"),
    ],
    ids=["failed", "late", "daemon ends"],
)
def test_without_a_text_the_record_says_why(
    end: list[tuple[SignedReading | None, str]], why: str
) -> None:
    (found,) = drive(RUN + end)
    assert found["meter_signatures"] == []
    assert why in found["signature_fault"]
    assert signature_check.check(found) == (0, "")


def test_a_meter_that_signs_nothing_costs_no_wait() -> None:
    book = Settlement(1, "ST-1", METER)
    book.step(told(0.0, None), 0.0)
    (found,) = book.step(told(1.0, None, session=""), 0.0)
    assert found["meter_signatures"] == []
    assert "signature_fault" not in found


def test_a_text_of_no_session_of_ours_is_kept_alone() -> None:
    """Of a transaction from before the daemon's start."""
    before = SignedReading(TEXT, "", HEX)
    found = drive([(before, ""), (before, ""), (before, "")])
    assert [r["kind"] for r in found] == ["transaction"]
    assert found[0]["meter_signatures"][0]["text"] == TEXT
    assert signature_check.check(found[0]) == (1, "")


def test_an_interrupted_meter_gives_two_texts_for_one_session() -> None:
    first = SignedReading(text(moved_kwh=0.02), "S-1", HEX, "S-1")
    second = SignedReading(text(moved_kwh=0.03, page=2), "S-1", HEX)
    (found,) = drive([*RUN, (first, "S-1"), (first, "S-1"), (second, "")])
    assert len(found["meter_signatures"]) == 2
    assert signature_check.check(found) == (2, "")


def test_a_daemon_that_ends_in_a_session_keeps_the_texts_it_has() -> None:
    first = SignedReading(text(moved_kwh=0.02), "S-1", HEX, "S-1")
    (found,) = drive([*RUN, (first, "S-1")])
    assert [row["text"] for row in found["meter_signatures"]] == [first.text]


@given(st.lists(st.sampled_from(["S-1", "S-2", ""]), min_size=1, max_size=12))
def test_no_text_is_lost_or_kept_twice(sessions: list[str]) -> None:
    """A meter that signs each session one report after its end."""
    steps: list[tuple[SignedReading | None, str]] = []
    signed, was, page = SignedReading(public_key=HEX), "", 0
    texts = []
    for session in [*sessions, "", ""]:
        if was and session != was:
            page += 1
            signed = SignedReading(text(was, page=page), was, HEX)
            texts.append(signed.text)
        steps += [(signed, session)] * 2
        was = session
    kept = [s["text"] for r in drive(steps) for s in r.get("meter_signatures", [])]
    assert sorted(kept) == sorted(texts)


def test_what_does_not_hold_is_told() -> None:
    (found,) = drive([*RUN, (DONE, "")])
    (signature,) = found["meter_signatures"]
    changed = {**signature, "text": TEXT.replace("2.003", "2.004")}
    assert (
        "does not fit"
        in signature_check.check({**found, "meter_signatures": [changed]})[1]
    )
    other = public(ec.generate_private_key(ec.SECP256R1())).hex()
    assert "does not fit" in signature_check.check(found, (other,))[1]
    assert signature_check.check(found, (other, HEX)) == (1, "")
    assert (
        "no signature can be read"
        in signature_check.check({**found, "meter_signatures": [{"text": "OCMF"}]})[1]
    )
    doubtful = {**signature, "text": text(status="M")}
    assert (
        "not usable"
        in signature_check.check({**found, "meter_signatures": [doubtful]})[1]
    )
    assert "import_wh" in signature_check.check({**found, "import_wh": 90.0})[1]
    assert signature_check.check({"kind": "slot"}) == (0, "")
