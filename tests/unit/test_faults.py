"""The fault table: every column filled, every code well formed, unknown names stop."""

from __future__ import annotations

import re

import pytest

from chargerd.faults import FAULTS, Clear, Fault, Severity, lookup

OCPP16 = {
    "ConnectorLockFailure", "EVCommunicationError", "GroundFailure", "HighTemperature",
    "InternalError", "OtherError", "OverCurrentFailure", "OverVoltage",
    "PowerMeterFailure", "PowerSwitchFailure", "ReaderFailure", "UnderVoltage",
    "WeakSignal",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda f: f.name)
def test_row_is_whole(fault: Fault) -> None:
    assert FAULTS[fault.name] is fault
    assert re.fullmatch(r"CX0\d\d|", fault.mrec)
    assert fault.uec
    assert fault.ocpp16 in OCPP16
    assert 0 < len(fault.component) <= 50
    assert 0 < len(fault.variable) <= 50
    assert fault.technician.endswith(".")
    assert fault.clear_after_s >= 0
    if fault.stops_power:
        assert fault.driver, "a driver left without power must be told what to do"
        assert fault.severity <= Severity.WARNING


def test_all_mrec_codes_once() -> None:
    codes = [f.mrec for f in FAULTS.values() if f.mrec]
    assert sorted(codes) == [f"CX{n:03}" for n in range(1, 27)]


def test_effects_are_consistent() -> None:
    for fault in FAULTS.values():
        assert not (fault.ends_session and not fault.stops_power), fault.name
        assert not (fault.discharge_only and fault.stops_power), fault.name


def test_unlisted_name_stops_power() -> None:
    row = lookup("NoSuchFault")
    assert row.stops_power
    assert row.ends_session


def test_dangerous_hardware_needs_a_technician() -> None:
    for name in ("EVSEContactorFault", "CutCable", "GroundFailure"):
        assert FAULTS[name].clear is Clear.RESET
