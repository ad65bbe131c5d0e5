"""The words between the SLAC unit and the daemon."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.vehicle.slac import lines
from chargerd.vehicle.slac.errors import SlacError
from chargerd.vehicle.slac.matching import Leave, State, Status

STATUS = Status(State.MATCHED, "02:00:00:00:00:03", 13.5, 2, "link lost", "QCA7005")


@pytest.mark.parametrize("letter", sorted(lines.PILOT))
def test_a_pilot_comes_back(letter: str) -> None:
    assert lines.decode_word(lines.encode_pilot(letter)) == letter


@pytest.mark.parametrize("why", list(Leave))
def test_a_leave_comes_back(why: Leave) -> None:
    assert lines.decode_word(lines.encode_leave(why)) is why


@pytest.mark.parametrize("status", [STATUS, Status()])
def test_a_status_comes_back(status: Status) -> None:
    assert lines.decode_status(lines.encode_status(status)) == status


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b'{"pilot": "G"}',
        b'{"pilot": ["A"]}',
        b'{"pilot": "A", "more": 1}',
        b'{"leave": "now"}',
        b'{"pilot": "A"' + b" " * 600 + b"}",
        b"[" * 400,
        b"\xff\xfe",
    ],
)
def test_other_words_are_refused(line: bytes) -> None:
    with pytest.raises(SlacError):
        lines.decode_word(line)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state", "asleep"),
        ("state", None),
        ("attenuation_db", -1.0),
        ("attenuation_db", float("nan")),
        ("attenuation_db", 256.0),
        ("failures", -1),
        ("failures", "1"),
        ("ev_mac", 3),
        ("why", None),
    ],
)
def test_a_status_that_cannot_be_is_refused(key: str, value: object) -> None:
    said = json.loads(lines.encode_status(STATUS)) | {key: value}
    with pytest.raises(SlacError):
        lines.decode_status(json.dumps(said).encode())


@given(st.binary(max_size=700))
def test_any_line_is_a_word_or_our_exception(line: bytes) -> None:
    for decode in (lines.decode_word, lines.decode_status):
        try:
            decode(line)
        except SlacError:
            continue
