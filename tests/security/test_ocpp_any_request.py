"""Every action, with any payload that its schema allows: the station stays whole.

It answers as the schema wants, sends nothing that is not valid, comes to rest, starts
again on what it has kept; and whatever is asked, the power stays inside its bounds.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargerd.model import SessionPhase
from chargerd.ocpp.effects import CallError, Later
from chargerd.ocpp.v2 import dialect
from tests.ocpp_payloads import actions, payloads, smallest
from tests.unit.ocpp.profile_kit import profile
from tests.unit.ocpp.station_rig import Rig, config, validator
from tests.unit.ocpp.whole import SITE, Whole, conf

V21, V201 = "ocpp2.1", "ocpp2.0.1"
HANDLED = [a for a in actions(V21) if Rig().station.handles(a)]
CASES = [(V21, a) for a in HANDLED] + [
    (V201, a) for a in HANDLED if a not in dialect.ONLY_21 and a in actions(V201)
]
SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]


def mixed(draw: Any, good: Any, wild: Any) -> Any:
    """`good` with parts of `wild`; both fit the same schema, so this does."""
    if isinstance(good, dict) and isinstance(wild, dict):
        made = {name: mixed(draw, good[name], wild.get(name)) for name in good}
        more = [name for name in wild if name not in good]
        return made | {n: wild[n] for n in more if draw(st.integers(0, 3)) == 0}
    if isinstance(good, list) and isinstance(wild, list) and wild:
        return [mixed(draw, part, wild[0]) for part in good]
    return good if wild is None or draw(st.integers(0, 3)) else wild


def ask(rig: Rig, action: str, payload: Any) -> None:
    """A CALL as the client makes it; the answer may be owed."""
    validator(rig.version, f"{action}Request", formats=False).validate(payload)
    rig.station.prepare(action, payload)
    answer = rig.station.call(action, payload, rig.now)
    if isinstance(answer, dict):
        validator(rig.version, f"{action}Response").validate(answer)
    else:
        assert isinstance(answer, CallError | Later)
    rig.drain()


def started(version: str) -> tuple[Rig, str]:
    """A station with a transaction, and its id."""
    rig = Rig(config(evses=2), version=version).boot()
    rig.observe(SessionPhase.ENERGY, authorised=True)
    rig.observe(evse_id=2)
    return rig, str(rig.events()[-1]["transactionInfo"]["transactionId"])


@pytest.mark.parametrize(("version", "action"), CASES)
@settings(max_examples=5, deadline=None, suppress_health_check=SLOW_IS_FINE)
@given(st.data())
def test_a_station_survives(version: str, action: str, data: Any) -> None:
    rig, transaction = started(version)
    name = f"{action}Request"
    for _ in range(3):
        wild = data.draw(payloads(version, name))
        good = aimed(smallest(version, name), transaction)
        ask(rig, action, mixed(data.draw, good, wild))
    rig.run_s(2.0)
    rig.link(up=False)
    rig.link()
    rig.pass_s(60.0)
    again = rig.restarted()
    again.boot()
    again.observe(SessionPhase.ENERGY, authorised=True)
    again.pass_s(5.0)


def aimed(payload: Any, transaction: str) -> Any:
    """The same, at the transaction that runs."""
    if isinstance(payload, list):
        return [aimed(part, transaction) for part in payload]
    if not isinstance(payload, dict):
        return payload
    made = {name: aimed(part, transaction) for name, part in payload.items()}
    return made | ({"transactionId": transaction} if "transactionId" in made else {})


# The power

IMPORT_W, EXPORT_W, SLACK_W = 4000.0, 3000.0, 50.0


def good(transaction: str) -> dict[str, Any]:
    """What moves power when nothing is wrong with it."""
    period = {
        "startPeriod": 0,
        "operationMode": "CentralSetpoint",
        "setpoint": -9000.0,
    }
    wish = profile(purpose="TxProfile", periods=[period], transactionId=transaction)
    start = {
        "remoteStartId": 1,
        "evseId": 1,
        "idToken": {"idToken": "R", "type": "Central"},
    }
    dynamic = {"chargingProfileId": 10, "scheduleUpdate": {"setpoint": 9000.0}}
    droop = {
        "priority": 1,
        "overFreq": 50.0,
        "underFreq": 49.0,
        "overDroop": 0.01,
        "underDroop": 0.01,
        "responseTime": 0.0,
    }
    control = {"isDefault": False, "controlId": "d", "controlType": "FreqDroop"}
    energy = {"transactionId": transaction, "allowedEnergyTransfer": ["DC_BPT"]}
    return {
        "SetChargingProfile": {"evseId": 1, "chargingProfile": wish},
        "RequestStartTransaction": start | {"chargingProfile": wish},
        "UpdateDynamicSchedule": dynamic,
        "SetDERControl": control | {"freqDroop": droop},
        "AFRRSignal": {"timestamp": "2026-11-23T08:00:05Z", "signal": -100},
        "NotifyAllowedEnergyTransfer": energy,
        "UsePriorityCharging": {"transactionId": transaction, "activate": True},
        "ClearChargingProfile": {"chargingProfileId": 10},
        "ClearDERControl": {"isDefault": False, "controlId": "d"},
        "ChangeAvailability": {"operationalStatus": "Operative"},
    }


@pytest.mark.parametrize("may_export", [True, False])
@settings(max_examples=25, deadline=None, suppress_health_check=SLOW_IS_FINE)
@given(st.data())
def test_the_power_stays_inside_its_bounds(may_export: bool, data: Any) -> None:
    site = {**SITE, "import_w": IMPORT_W, "export_w": EXPORT_W}
    if not may_export:
        del site["export_permit"]
    low_w = -EXPORT_W if may_export else 0.0
    whole = Whole(conf(site=site))
    actions_of_power = good(whole.start())
    for _ in range(data.draw(st.integers(1, 5), label="requests")):
        action = data.draw(st.sampled_from(sorted(actions_of_power)))
        wild = data.draw(payloads(V21, f"{action}Request"))
        ask(whole.rig, action, mixed(data.draw, actions_of_power[action], wild))
        for _ in range(20):
            whole.run(0.05)
            assert low_w - SLACK_W <= whole.grid_w <= IMPORT_W + SLACK_W


@pytest.mark.parametrize(("may_export", "seen_w"), [(True, -EXPORT_W), (False, 0.0)])
def test_a_setpoint_beyond_the_bounds_ends_there(
    may_export: bool, seen_w: float
) -> None:
    """Or the test above would hold for a station that does nothing."""
    site = {**SITE, "import_w": IMPORT_W, "export_w": EXPORT_W}
    if not may_export:
        del site["export_permit"]
    whole = Whole(conf(site=site))
    transaction = whole.start()
    assert whole.grid_w > 0.9 * IMPORT_W
    name = "SetChargingProfile"
    ask(whole.rig, name, good(transaction)[name])
    whole.run(3.0)
    assert whole.grid_w == pytest.approx(seen_w, abs=200.0)
