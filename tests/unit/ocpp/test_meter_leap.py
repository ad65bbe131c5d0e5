"""A meter replaced in a transaction: registers are told as read, and the leap is no
energy of it. The heart says what leapt (evse/registers.py)."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import ActiveFault, SessionPhase
from tests.unit.ocpp.station_rig import Rig
from tests.unit.ocpp.tariff_kit import charge, set_default, station, total
from tests.unit.ocpp.test_sampling import of, samples

P = SessionPhase
INTERVAL = "Energy.Active.Import.Interval"
REGISTER = "Energy.Active.Import.Register"
MORE = pytest.mark.parametrize("more_wh", [41_000.0, -1300.0], ids=["more", "reset"])


def replaced(more_wh: float, wh: float, **more: Any) -> dict[str, Any]:
    """`wh` of the transaction have flowed, by the new meter."""
    return {
        "authorised": True,
        "import_wh": 1000.0 + more_wh + wh,
        "leapt_wh": (more_wh, 0.0),
        **more,
    }


def charging(**presets: Any) -> Rig:
    """By a tariff of 1 for the kWh; 400 Wh have flowed by the old meter."""
    rig = station(**presets)
    assert set_default(rig) == "Accepted"
    charge(rig)
    rig.observe(P.ENERGY, authorised=True, import_wh=1400.0)
    return rig


@MORE
def test_the_bill_is_for_what_flowed(more_wh: float) -> None:
    rig = charging()
    for wh in (400.0, 1500.0, 2000.0):
        rig.observe(P.ENERGY, **replaced(more_wh, wh))
    rig.observe(P.IDLE, **{**replaced(more_wh, 2000.0), "authorised": False})
    ended = rig.events()[-1]
    assert (ended["eventType"], total(ended)) == ("Ended", 2.0)


@MORE
def test_a_bill_goes_on_after_a_restart(more_wh: float) -> None:
    rig = charging(**{"TxCtrlr.ResumptionTimeout": 300})
    rig.observe(P.ENERGY, **replaced(more_wh, 1500.0))
    rig.call("TriggerMessage", {"requestedMessage": "TransactionEvent"})
    again = rig.restarted(after_s=60).boot()
    again.observe(P.CONNECTED, session_id="fresh")
    for wh in (1500.0, 2000.0):
        again.observe(P.ENERGY, **replaced(more_wh, wh, kept=True))
    again.observe(P.IDLE, **{**replaced(more_wh, 2000.0), "authorised": False})
    assert total(again.events()[-1]) == 2.0


@MORE
@pytest.mark.req("E16.FR.05")
def test_a_limit_is_reached_by_what_flowed(more_wh: float) -> None:
    rig = charging()
    limit = {"transactionLimit": {"maxEnergy": 2000.0}}
    rig.answer(rig.last("TransactionEvent"), limit)
    rig.observe(P.ENERGY, **replaced(more_wh, 1900.0))
    rig.run_s(3)
    reasons = [e["triggerReason"] for e in rig.events()]
    assert "EnergyLimitReached" not in reasons
    rig.observe(P.ENERGY, **replaced(more_wh, 2000.0))
    rig.run_s(3)
    assert rig.events()[-1]["triggerReason"] == "EnergyLimitReached"


@MORE
@pytest.mark.req("J02.FR.16", "J02.FR.17")
def test_the_register_is_told_as_read_and_the_fault_says_why(more_wh: float) -> None:
    rig = charging(**{
        "SampledDataCtrlr.TxUpdatedInterval": 10,
        "SampledDataCtrlr.TxUpdatedMeasurands": f"{REGISTER},{INTERVAL}",
    })  # fmt: skip
    rig.run_s(11)
    fault = ActiveFault("MeterLeap", 1, rig.now.utc, f"import {more_wh:+.0f} Wh")
    rig.observe(P.ENERGY, **replaced(more_wh, 450.0, faults=(fault,)))
    rig.run_s(10)
    last = rig.events()[-1]
    assert of(last, REGISTER) == [1450.0 + more_wh]
    assert of(last, INTERVAL) == [50.0]
    assert len(samples(last)) == 2
    (event,) = rig.payloads("NotifyEvent")[-1]["eventData"]
    assert event["component"]["name"] == "ControlMetering"
    assert event["techInfo"] == f"import {more_wh:+.0f} Wh"
    statuses = [
        e["actualValue"]
        for p in rig.payloads("NotifyEvent")
        for e in p["eventData"]
        if e["variable"]["name"] == "AvailabilityState"
    ]
    assert "Faulted" not in statuses
