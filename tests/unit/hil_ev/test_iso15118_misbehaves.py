"""A vehicle that does wrong, in memory: each misbehaviour does what its name says, and
the station ends in a safe state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chargerd.model import VehiclePhase
from hil.ev.iso15118.profile import (
    AT_A_MESSAGE,
    MISBEHAVIOURS,
    Profile,
    load,
    names,
    with_keys,
)
from tests.unit.hil_ev.bench15118 import Bench

CARS = {
    "iso2": Profile(protocols=("iso15118-2",), services=("DC",)),
    "iso20": Profile(protocols=("iso15118-20",), services=("DC_BPT", "DC")),
}
# kind -> (the cause that the station names, why the vehicle says it ended)
ENDS = {
    "silent": ("silent", "the station closed"),
    "wrong_order": ("sequence", "SessionSetupRes: FAILED_SequenceError"),
    "wrong_session_id": ("session_id", "FAILED_UnknownSession"),
    "hang_up": ("disconnected", "misbehaves: hang_up"),
    "unplug": ("pilot_left", "the station closed"),
}


def bench(car: str, *kinds: str, **more: object) -> Bench:
    return Bench(with_keys(CARS[car], {"misbehave": list(kinds), **more}))


def is_safe(b: Bench) -> None:
    """No current, the contactor open, the session over."""
    assert b.state.phase in (VehiclePhase.ENDED, VehiclePhase.FAULT)
    assert not b.plant.dc_closed
    assert b.plant.current_a == 0.0


def test_the_table_is_whole() -> None:
    assert set(ENDS) == AT_A_MESSAGE <= set(MISBEHAVIOURS)


@pytest.mark.parametrize("car", CARS)
@pytest.mark.parametrize("kind", ENDS)
def test_wrong_in_the_loop(car: str, kind: str) -> None:
    b = bench(car, kind)
    b.to_energy()
    b.run(70.0, lambda: b.gone)
    b.run(8.0)
    cause, why = ENDS[kind]
    assert b.state.stop_cause == cause
    assert why in b.evcc.why
    is_safe(b)


@pytest.mark.parametrize("car", CARS)
@pytest.mark.parametrize("kind", sorted(AT_A_MESSAGE))
@pytest.mark.parametrize(
    "at", ["SessionSetupReq", "CableCheckReq", "PreChargeReq", "PowerDeliveryReq"]
)
def test_wrong_at_a_message(car: str, kind: str, at: str) -> None:
    """Wherever it begins, nothing stays live."""
    named = car == "iso20" and at in ("CableCheckReq", "PreChargeReq")
    b = bench(car, kind, misbehave_at=f"DC_{at}" if named else at)
    if at == "SessionSetupReq" and kind.startswith("wrong"):
        b.to_energy()  # the first of its kind is in order, with any id
        return
    b.run(80.0, lambda: b.gone)
    assert b.gone
    b.run(20.0)
    assert not b.plant.dc_closed
    assert b.plant.current_a == 0.0


def test_silent_in_the_loop_of_iso15118_20_ends_power_in_half_a_second() -> None:
    b = bench("iso20")
    b.to_energy()
    b.run(2.0)
    assert b.plant.current_a > 10.0
    b.car.active.add("silent")
    b.run(0.75)  # its next request would have come after 0.1 s
    assert b.plant.current_a == 0.0


@pytest.mark.parametrize("car", CARS)
@pytest.mark.parametrize("kind", ["trailing_zeros", "split", "coalesce"])
def test_sloppy_senders_are_read(car: str, kind: str) -> None:
    b = bench(car, kind)
    b.to_energy()
    b.run(2.0)
    assert b.plant.current_a > 10.0
    b.leave()
    assert b.evcc.why == ""


def test_a_vehicle_that_refuses_bpt_only_charges() -> None:
    b = bench("iso20", "refuse_bpt")
    b.plant.setpoint_a = -20.0
    b.to_energy()
    b.run(2.0)
    assert b.evcc.speaker is not None
    assert b.evcc.speaker.service == "DC"
    limits = b.state.limits
    assert limits is not None
    assert limits.discharge_a == 0.0


def test_negative_discharge_limits_are_a_quirk() -> None:
    """The station reads the magnitude, and discharges inside it."""
    b = bench("iso20", "negative_limits")
    b.plant.setpoint_a = -20.0
    b.to_energy()
    b.run(2.0)
    assert b.state.limits is not None
    assert b.state.limits.discharge_a < -20.0
    assert b.car.battery.energy_out_wh > 1.0


@pytest.mark.parametrize("car", CARS)
def test_a_welded_contactor_is_seen(car: str) -> None:
    """The outlet stays live after the session: the connector stays locked."""
    b = bench(car, "weld")
    b.to_energy()
    b.run(2.0)
    b.leave()
    b.run(30.0)
    assert b.car.closed
    assert "EVContactorFault" in b.state.faults


@pytest.mark.parametrize("car", CARS)
def test_a_contactor_that_does_not_close_ends_the_session(car: str) -> None:
    b = bench(car, "wont_close")
    b.run(60.0, lambda: b.gone)
    assert "takes too long" in b.evcc.why or "FAILED" in b.evcc.why
    b.run(10.0)
    is_safe(b)


def test_a_slow_vehicle_is_waited_for() -> None:
    """In the loops of ISO 15118-2 it may be slow: no current is driven meanwhile."""
    b = bench("iso2", "slow", slow_s=1.5)
    b.to_energy(60.0)
    before = b.evcc.requests
    b.run(10.0)
    assert 5 <= b.evcc.requests - before <= 7
    b.leave()
    assert b.evcc.why == ""


def test_ignored_limits_do_not_move_the_station() -> None:
    b = Bench(replace(CARS["iso20"], control="scheduled", misbehave=("ignore_limits",)))
    b.plant.charge_a = 10.0
    b.plant.setpoint_a = 10.0
    b.to_energy()
    b.run(3.0)
    assert 0.0 < b.plant.current_a <= 10.0


def test_staying_in_c_after_the_end_does_not_keep_power() -> None:
    b = bench("iso20", "stay_in_c")
    b.to_energy()
    b.leave()
    assert b.car.pilot == "C"
    b.run(5.0)
    is_safe(b)


# --- profiles ------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
def test_every_profile_file_is_a_vehicle(name: str) -> None:
    assert with_keys(Profile(), load(name)) != Profile()


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"protocols": "iso15118-3"}, "iso15118-3"),
        ({"services": ["DC", "MCS"]}, "MCS"),
        ({"misbehave": "lies"}, "lies"),
        ({"control": "chaos"}, "dynamic or scheduled"),
        ({"charge_max_a": -1}, "charge_max_a"),
        ({"charge_max_a": float("nan")}, "charge_max_a"),
        ({"tls": 1}, "tls"),
        ({"evccid": "12"}, "12 hex digits"),
        ({"ac_phases": 2}, "1 or 3"),
        ({"wings": 2}, "wings"),
        ({"protocols": ""}, "at least one"),
    ],
)
def test_wrong_keys_are_named(keys: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        with_keys(Profile(), keys)


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="v2g"):
        load("nonesuch")
