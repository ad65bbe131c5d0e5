"""The owner's promise outlives a restart with its session."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.model import PromiseRequest, ResumeRequest
from chargerd.scheduler import kept_promise
from tests.unit.scheduler.stand import Stand, at
from tests.unit.scheduler.test_in_the_field import TOKEN

NOW = at(0.0)
WISH = kept_promise.Wish("s1", NOW.mono + 3600.0, 80.0, 20.0)


def promised() -> Stand:
    """A session with a promise, an hour before its departure."""
    stand = Stand()
    stand.start()
    stand.cycle.request(PromiseRequest(1, stand.mono + 3600.0, 80.0, 25.0))
    stand.run(0.2)
    return stand


def restarted(before: Stand, session_id: str) -> Stand:
    stand = Stand(kept=before.kept)
    stand.run(5.0)  # its own session is another one, by its time
    stand.plug()
    stand.run(1.0)
    stand.cycle.request(ResumeRequest(1, session_id, TOKEN))
    stand.run(1.0)
    return stand


def test_a_session_that_goes_on_goes_on_with_its_promise() -> None:
    before = promised()
    session = before.report().snapshot.session
    after = restarted(before, session.id).report().snapshot.session
    assert session.promise is not None
    assert after.promise is not None
    assert after.promise.target_soc_pct == 80.0
    assert after.promise.floor_soc_pct == 25.0
    assert after.promise.departure_mono == pytest.approx(session.promise.departure_mono)


def test_another_session_has_none_and_what_was_taken_back_is_gone() -> None:
    before = promised()
    assert restarted(before, "another").report().snapshot.session.promise is None
    number = before.report().snapshot.session.id
    before.cycle.request(PromiseRequest(1, None))
    before.run(0.2)
    assert before.kept["promise"] == {"1": None}
    assert restarted(before, number).report().snapshot.session.promise is None


def test_an_unknown_time_of_day_keeps_and_recalls_nothing() -> None:
    held = promised().report().snapshot.session
    assert kept_promise.of(held, NOW) is not None
    assert kept_promise.of(held, replace(NOW, trusted=False)) is None
    told = replace(held.promise, by_vehicle=True) if held.promise else None
    assert kept_promise.of(replace(held, promise=told), NOW) is None


@pytest.mark.parametrize(
    "spoilt",
    [
        None,
        [],
        {},
        {"session_id": "s2"},
        {"departure_utc": "soon"},
        {"departure_utc": None},
        {"departure_utc": "2026-01-01T00:00:00+00:00"},
        {"target_soc_pct": "x"},
        {"floor_soc_pct": None},
    ],
)
def test_what_cannot_be_read_or_is_over_is_no_promise(spoilt: object) -> None:
    packed = kept_promise.pack(WISH, NOW)
    assert packed is not None
    good = kept_promise.read(packed, "s1", NOW)
    assert good is not None
    assert good.departure_mono == pytest.approx(WISH.departure_mono)
    value = {**packed, **spoilt} if isinstance(spoilt, dict) and spoilt else spoilt
    assert kept_promise.read(value, "s1", NOW) is None
