"""Charging profiles for tests, and how to install and read them."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import SessionPhase
from tests.unit.ocpp.station_rig import V21, V201, Rig

BOTH = pytest.mark.parametrize("version", [V21, V201])
AC_DEVICES = {k: {"driver": "x", "at": "y:/z"} for k in ("pilot", "meter")}
T0 = "2026-11-23T08:00:00Z"


def profile(
    number: int = 10,
    purpose: str = "TxDefaultProfile",
    kind: str = "Absolute",
    periods: list[dict[str, Any]] | None = None,
    *,
    unit: str = "W",
    schedule: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    plan = {
        "id": 1,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": periods or [{"startPeriod": 0, "limit": 3000.0}],
        **({"startSchedule": T0} if kind in ("Absolute", "Recurring") else {}),
        **(schedule or {}),
    }
    return {
        "id": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [plan],
        **({"recurrencyKind": "Daily"} if kind == "Recurring" else {}),
        **more,
    }


def central(setpoint: float, **more: Any) -> list[dict[str, Any]]:
    mode = more.pop("mode", "CentralSetpoint")
    return [{"startPeriod": 0, "operationMode": mode, "setpoint": setpoint, **more}]


DROOP = ([50.0, 0.0], [49.8, -10_000.0])  # in no order, as it may come


def local(*points: list[float], **more: Any) -> list[dict[str, Any]]:
    """One LocalFrequency period with these (Hz, W); None leaves a field out."""
    curve = [{"frequency": hertz, "power": power} for hertz, power in points]
    period = {
        "startPeriod": 0,
        "operationMode": "LocalFrequency",
        "v2xBaseline": 500.0,
        **({"v2xFreqWattCurve": curve} if curve else {}),
        **more,
    }
    return [{key: value for key, value in period.items() if value is not None}]


def install(rig: Rig, made: dict[str, Any], evse_id: int = 1) -> dict[str, Any]:
    answer = rig.call(
        "SetChargingProfile", {"evseId": evse_id, "chargingProfile": made}
    )
    assert isinstance(answer, dict)
    return answer


def running(version: str = V21, conf: Any = None) -> tuple[Rig, str]:
    rig = Rig(conf, version=version)
    rig.boot()
    rig.observe(SessionPhase.ENERGY, authorised=True)
    return rig, rig.events()[-1]["transactionInfo"]["transactionId"]


def segment(rig: Rig, source: str = "ocpp.tx", evse_id: int = 1) -> Any:
    signal = rig.signal(source, evse_id)
    return signal.at(rig.now.mono) if signal else None
