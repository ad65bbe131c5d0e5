"""Blocks E17 and E01: a daemon killed at any write loses, doubles and reorders nothing.

Any walk of the session, any number of kills: what reached the disk is, per transaction,
Started, then Updated, then one Ended, with seqNo 0, 1, 2, ... without a gap.
"""

from __future__ import annotations

import copy
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from chargerd.model import ResumeRequest, SessionPhase, StopReason
from chargerd.ocpp.effects import Save, Send
from tests.unit.ocpp.station_rig import Rig, config

P = SessionPhase
PHASES = [P.IDLE, P.CONNECTED, P.STARTING, P.ENERGY, P.SUSPENDED_EV, P.FINISHED]
POINTS = ["EVConnected", "Authorized", "PowerPathClosed", "EnergyTransfer"]


class Killed(Exception):
    """The power is gone."""


class Disk(Rig):
    """A rig whose power fails once so many writes have reached the disk."""

    writes_left = 10**6

    def run(self, writes: int) -> None:
        self.writes_left = writes

    def drain(self) -> list[Any]:
        effects = self.station.to_send()
        for effect in effects:
            durable = isinstance(effect, Send) and effect.save is not None
            if isinstance(effect, Save) or durable:
                if self.writes_left == 0:
                    raise Killed
                self.writes_left -= 1
            if isinstance(effect, Save):
                self._save(effect)
            if isinstance(effect, Send):
                self.sent.append(effect)
                if effect.save is not None:
                    self._save(effect.save)
        self.effects += effects
        return effects


@st.composite
def walks(draw: st.DrawFn) -> list[tuple[P, bool]]:
    steps = st.tuples(st.sampled_from(PHASES), st.booleans())
    return draw(st.lists(steps, min_size=1, max_size=8))


def show(rig: Disk, session: int, phase: P, on: bool) -> None:
    stop = StopReason.LOCAL if phase is P.FINISHED else None
    rig.pass_s(2.0)
    rig.observe(
        phase,
        authorised=on or phase not in (P.IDLE, P.CONNECTED),
        stop=stop,
        session_id=f"s{session}",
    )


@pytest.mark.req("E01.FR.07", "E17.FR.01")
@given(
    runs=st.lists(st.tuples(walks(), st.integers(0, 12)), min_size=1, max_size=4),
    start=st.sampled_from(POINTS),
    stop=st.sampled_from(POINTS),
    timeout_s=st.sampled_from([0, 300]),
    takes_up=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_killed_at_any_write(
    runs: list[tuple[list[tuple[P, bool]], int]],
    start: str,
    stop: str,
    timeout_s: int,
    takes_up: bool,
) -> None:
    presets = {
        "TxCtrlr.TxStartPoint": start,
        "TxCtrlr.TxStopPoint": stop,
        "TxCtrlr.ResumptionTimeout": timeout_s,
        "SampledDataCtrlr.TxUpdatedInterval": 3,
    }
    conf = config(device_model=presets)
    saved: dict[str, Any] = {}
    on_disk: list[Send] = []
    session = 0
    for walk, writes in runs:
        rig = Disk(conf, saved)
        rig.run(writes)
        try:
            rig.observe(P.CONNECTED, session_id=f"boot{session}")
            asked = [r for r in rig.asked() if isinstance(r, ResumeRequest)]
            if asked and takes_up:
                rig.observe(P.STARTING, authorised=True, session_id=asked[0].session_id)
            rig.run_s(10)
            for phase, on in walk:
                session += phase is P.CONNECTED
                show(rig, session, phase, on)
        except Killed:
            pass
        on_disk += rig.sent
        saved = copy.deepcopy(rig.saved)
    last = Disk(conf, saved)
    last.observe(P.IDLE)
    last.run_s(80)
    last.observe(P.IDLE)
    on_disk += last.sent
    _check([s.payload for s in on_disk if s.action == "TransactionEvent"])


def _check(events: list[dict[str, Any]]) -> None:
    by_id: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        by_id.setdefault(event["transactionInfo"]["transactionId"], []).append(event)
    for told in by_id.values():
        kinds = [event["eventType"] for event in told]
        assert [event["seqNo"] for event in told] == list(range(len(told)))
        assert kinds[0] == "Started"
        assert kinds[-1] == "Ended"
        assert set(kinds[1:-1]) <= {"Updated"}
