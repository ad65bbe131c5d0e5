"""Matching on a simulated power line: two stations, one vehicle, and strangers.

Rules: ISO 15118-3 as docs/slac.md names its sources. The vehicle and the line are the
bench's (hil/slac), with a codec of their own.
"""

from __future__ import annotations

import pytest

from chargerd.vehicle.slac.matching import Leave, Settings, State
from hil.slac import frames
from tests.unit.vehicle_slac.bench import Line, mac


def pair(quirks: frozenset[str] = frozenset()) -> Line:
    """Two stations, a vehicle at the first one's cable."""
    line = Line()
    line.evse("near")
    line.evse("far")
    line.ev("ev", quirks)
    line.power.near("near", "ev", 12)
    line.power.near("far", "ev", 34)
    line.run(1.0)
    return line


def test_a_station_is_ready_once_its_modem_has_a_key() -> None:
    line = Line()
    line.evse("near")
    assert line.state("near") is State.NO_MODEM
    line.run(1.0)
    assert line.state("near") is State.UNMATCHED
    assert line.evses["near"].status().modem.startswith("MAC-QCA7005")
    assert line.power.modems["near"].nmk == b"\x01\x01" * 8


def test_the_vehicle_matches_the_station_it_is_plugged_into() -> None:
    line = pair()
    line.plug("near", "ev")
    line.evses["far"].pilot("B", line.now)  # another car stands there
    line.run(2.5)
    ev, near = line.evs["ev"], line.evses["near"].status()
    assert ev.state == "matched"
    assert near.state is State.MATCHED
    assert near.ev_mac == "02:00:00:00:00:03"
    assert len(ev.reports) == 2  # both answered: it was a choice
    assert near.attenuation_db == pytest.approx(13.0, abs=0.5)
    assert line.state("far") is not State.MATCHED
    line.run(10.0)  # the run the vehicle did not choose ends by itself
    assert line.state("far") is State.UNMATCHED
    assert "measured" in line.evses["far"].status().why


def test_an_unplugged_station_does_not_answer() -> None:
    line = pair()
    line.evs["ev"].plug(line.now)
    line.run(3.0)
    assert not line.sent("near", frames.PARM_CNF)


def test_the_average_is_taken_less_the_receive_loss() -> None:
    line = Line()
    line.evse("near", Settings(receive_loss_db=5.0))
    line.ev("ev")
    line.power.near("near", "ev", 3)
    line.run(1.0)
    line.plug("near", "ev")
    line.run(2.5)
    (report,) = line.sent("near", frames.CHAR_IND)
    _, _, sounds, groups = frames.char_ind(report.data)
    assert sounds == 10
    assert set(groups) == {0}  # 3, 4, 5 less 5: never under zero


def test_a_station_that_heard_too_little_says_nothing() -> None:
    line = Line()
    line.evse("near", Settings(attenuation_max_db=20.0))
    line.ev("ev")
    line.power.near("near", "ev", 25)
    line.run(1.0)
    line.plug("near", "ev")
    line.run(2.0)
    assert not line.sent("near", frames.CHAR_IND)
    assert "too weak" in line.evses["near"].status().why


def test_a_station_that_heard_no_sound_says_nothing() -> None:
    line = pair(frozenset({"no_sounds"}))
    line.plug("near", "ev")
    line.run(2.0)
    assert not line.sent("near", frames.CHAR_IND)
    assert line.evses["near"].status().why == "no sound was heard"


def test_a_lost_report_is_repeated_three_times_at_most() -> None:
    line = pair()
    line.plug("near", "ev")
    line.run(0.5)
    line.power.cut.add("ev")  # the last sounds are lost, and all that follows
    line.run(2.0)
    reports = line.sent("near", frames.CHAR_IND)
    assert len(reports) == 3
    _, _, sounds, groups = frames.char_ind(reports[0].data)
    assert 5 < sounds < 10
    assert set(groups) == {12, 13, 14}  # an average: what is lost does not change it
    assert line.state("near") is State.UNMATCHED


def test_a_lost_match_answer_is_given_again() -> None:
    line = pair(frozenset({"repeats_match"}))
    line.plug("near", "ev")
    line.run(3.0)
    assert len(line.sent("near", frames.MATCH_CNF)) == 2
    assert line.state("near") is State.MATCHED


def test_every_match_has_a_key_of_its_own() -> None:
    line = pair()
    keys = []
    for _ in range(3):
        line.plug("near", "ev")
        line.run(3.0)
        assert line.state("near") is State.MATCHED
        keys.append(line.power.modems["near"].nmk)
        line.evses["near"].pilot("A", line.now)
        line.evs["ev"].unplug()
        line.run(1.0)  # TP_match_leave: the network is left within a second
        assert line.power.modems["near"].nmk not in keys
        assert line.state("near") is State.UNMATCHED
    assert len(set(keys)) == 3


def test_a_vehicle_that_does_not_join_costs_the_key() -> None:
    line = pair(frozenset({"keeps_key"}))
    line.plug("near", "ev")
    line.run(3.0)
    assert line.state("near") is State.JOINING
    key = line.power.modems["near"].nmk
    line.run(12.0)
    assert line.power.modems["near"].nmk != key
    assert "no link" in line.evses["near"].status().why


def test_a_lost_link_is_told_and_matched_again() -> None:
    line = pair()
    line.plug("near", "ev")
    line.run(3.0)
    line.power.cut.add("ev")
    line.run(5.0)
    assert line.evses["near"].status().why == "link lost"
    assert line.state("near") is State.UNMATCHED
    line.power.cut.clear()
    line.evs["ev"].plug(line.now)
    line.run(3.0)
    assert line.state("near") is State.MATCHED
    assert line.evses["near"].status().failures == 1


@pytest.mark.parametrize("why", list(Leave))
def test_the_layers_above_may_give_the_link_up(why: Leave) -> None:
    line = pair()
    line.plug("near", "ev")
    line.run(3.0)
    line.evses["near"].leave(why, line.now)
    line.run(1.0)
    status = line.evses["near"].status()
    assert status.state is State.UNMATCHED
    assert status.failures == (1 if why is Leave.ERROR else 0)


@pytest.mark.parametrize("letter", ["E", "F", "A"])
def test_a_pilot_that_goes_ends_the_match(letter: str) -> None:
    line = pair()
    line.plug("near", "ev")
    line.run(3.0)
    line.evses["near"].pilot(letter, line.now)
    line.run(0.5)
    assert line.state("near") is State.UNMATCHED


def test_an_unread_pilot_says_nothing() -> None:
    line = pair()
    line.plug("near", "ev")
    line.run(3.0)
    line.evses["near"].pilot("?", line.now)
    line.run(0.5)
    assert line.state("near") is State.MATCHED


# --- strangers ------------------------------------------------------------------------


@pytest.mark.parametrize("first_s", [0.0, 2.0])
def test_requests_of_strangers_never_hinder_a_match(first_s: float) -> None:
    """300 a second, from new MACs with the vehicle's own run id; before it, too."""
    line = pair()
    line.stranger("bad")
    numbers = iter(range(1, 100_000))

    def flood() -> None:
        for _ in range(3):
            number = next(numbers)
            by = bytes((0x06, 0, 0, 0, number >> 8 & 0xFF, number & 0xFF))
            run = line.evs["ev"].run or bytes(8)
            line.say("bad", frames.pack(frames.ALL, by, frames.PARM_REQ, b"\0\0" + run))

    line.evses["near"].pilot("B", line.now)
    line.run(first_s, flood)
    line.plug("near", "ev")
    line.run(3.0, flood)
    assert line.evs["ev"].state == "matched"
    assert line.state("near") is State.MATCHED


def test_the_key_goes_to_nobody_that_was_not_measured() -> None:
    line = pair()
    bad = line.stranger("bad")
    near = mac(1)
    line.evses["near"].pilot("B", line.now)
    run = b"stranger"
    line.say("bad", frames.pack(frames.ALL, bad, frames.PARM_REQ, b"\0\0" + run))
    body = frames.match_req(run, bad, near)
    line.say("bad", frames.pack(near, bad, frames.MATCH_REQ, body))
    line.run(0.1)
    assert line.sent("near", frames.PARM_CNF)
    assert not line.sent("near", frames.MATCH_CNF)
    assert line.evses["near"].dropped["match not earned"] == 1


@pytest.mark.parametrize("who", ["mac", "run", "vehicle", "station"])
def test_the_key_goes_to_the_measured_vehicle_alone(who: str) -> None:
    """A match request that differs in one thing from the right one is not answered."""
    line = pair(frozenset({"no_match_req"}))
    bad = line.stranger("bad")
    line.plug("near", "ev")
    line.run(2.0)
    ev, near = line.evs["ev"], mac(1)
    assert ev.state == "matching"
    run = b"another!" if who == "run" else ev.run
    vehicle = bad if who == "vehicle" else ev.mac
    station = mac(2) if who == "station" else near
    source = bad if who == "mac" else ev.mac
    body = frames.match_req(run, vehicle, station)
    line.say("bad", frames.pack(near, source, frames.MATCH_REQ, body))
    line.run(0.05)
    assert not line.sent("near", frames.MATCH_CNF)


def test_measurements_count_from_the_own_modem_alone() -> None:
    """A stranger tells us that the vehicle is loud: it does not move the average."""
    line = pair()
    bad = line.stranger("bad")

    def forge() -> None:
        body = frames.profile_ind(line.evs["ev"].mac, bytes(frames.GROUPS))
        line.say("bad", frames.pack(frames.ALL, bad, frames.PROFILE_IND, body))

    line.plug("near", "ev")
    line.run(3.0, forge)
    level = line.evses["near"].status().attenuation_db
    assert level == pytest.approx(13.0, abs=0.5)


def test_a_matched_station_takes_no_other_vehicle() -> None:
    line = pair()
    line.ev("other")
    line.power.near("near", "other", 1)
    line.plug("near", "ev")
    line.run(3.0)
    line.evs["other"].plug(line.now)
    line.run(3.0)
    assert line.state("near") is State.MATCHED
    assert line.evses["near"].status().ev_mac == "02:00:00:00:00:03"
    assert line.evs["other"].state != "matched"


def test_two_vehicles_at_two_stations_match_at_the_same_time() -> None:
    line = pair()
    line.ev("second")
    line.power.near("far", "second", 10)
    line.power.near("near", "second", 33)
    line.plug("near", "ev")
    line.plug("far", "second")
    line.run(3.0)
    assert line.evs["ev"].station == mac(1)
    assert line.evs["second"].station == mac(2)
    assert {line.state("near"), line.state("far")} == {State.MATCHED}
    assert line.power.modems["near"].nmk != line.power.modems["far"].nmk


# --- the modem ------------------------------------------------------------------------


def test_a_modem_that_refuses_a_key_is_asked_until_it_takes_it() -> None:
    """Qualcomm says 0 for a refusal (qca/open-plc-utils issue 161)."""
    line = Line()
    line.evse("near")
    line.power.modems["near"].refuses_key = True
    line.run(2.0)
    assert line.state("near") is State.NO_MODEM
    line.power.modems["near"].refuses_key = False
    line.run(1.0)
    assert line.state("near") is State.UNMATCHED


def test_a_silent_modem_is_asked_now_and_then() -> None:
    line = Line()
    line.evse("near")
    line.power.modems["near"].silent = True
    line.run(30.0)
    assert line.state("near") is State.NO_MODEM
    assert len(line.sent("near", frames.KEY_REQ)) < 12
    line.power.modems["near"].silent = False
    line.run(6.0)
    assert line.state("near") is State.UNMATCHED


def test_a_modem_that_restarts_with_its_new_key_still_matches() -> None:
    line = pair()
    line.power.modems["ev"].restart_s = 2.0
    line.plug("near", "ev")
    line.run(6.0)
    assert line.state("near") is State.MATCHED


def test_a_modem_that_cannot_tell_of_links_is_believed() -> None:
    """Neither vendor's question is answered: the match itself is the link."""
    line = Line()
    line.evse("near")
    line.power.modems["near"].vendor = ""
    line.ev("ev")
    line.power.near("near", "ev", 12)
    line.run(2.0)
    line.plug("near", "ev")
    line.run(2.0)
    assert line.state("near") is State.MATCHED
    assert not line.sent("near", frames.LINK_REQ)


def test_a_lumissil_modem_is_known_by_its_own_question() -> None:
    line = Line()
    line.evse("near")
    line.power.modems["near"].vendor = "lumissil"
    line.ev("ev")
    line.power.near("near", "ev", 12)
    line.run(1.0)
    line.plug("near", "ev")
    line.run(3.0)
    assert line.evses["near"].status().modem == "CG5317 1.2.3.4"
    assert line.state("near") is State.MATCHED
    assert line.sent("near", frames.LUMISSIL_LINK_REQ)
