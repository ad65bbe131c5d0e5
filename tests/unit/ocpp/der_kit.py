"""DER controls as a CSMS sends them: one example of each control type."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chargerd.model import GridRulesRequest
from chargerd.model_grid import NO_RULES, GridRules
from chargerd.ocpp.effects import Answer, Payload
from tests.unit.ocpp.station_rig import START, Rig, config

INVERTER = {"manufacturer": "Maker", "model": "M1", "min_power_factor": 0.8}


def curve(unit: str, *points: tuple[float, float], **more: Any) -> Payload:
    data = [{"x": x, "y": y} for x, y in points]
    return {"priority": 5, "yUnit": unit, "curveData": data, **more}


def trip(*points: tuple[float, float]) -> Payload:
    return curve("Not_Applicable", *points)


EXAMPLES: dict[str, tuple[str, Payload]] = {
    "EnterService": ("enterService", {
        "priority": 5, "highVoltage": 106.0, "lowVoltage": 92.0, "highFreq": 50.1,
        "lowFreq": 49.9, "delay": 60.0, "rampRate": 100.0,
    }),
    "FreqDroop": ("freqDroop", {
        "priority": 5, "overFreq": 50.2, "underFreq": 49.8, "overDroop": 0.05,
        "underDroop": 0.05, "responseTime": 0.0,
    }),
    "FreqWatt": ("curve", curve("PctMaxW", (50.2, 100.0), (51.2, 0.0))),
    "FixedPFAbsorb": ("fixedPFAbsorb", {
        "priority": 5, "displacement": 0.9, "excitation": True,
    }),
    "FixedPFInject": ("fixedPFInject", {
        "priority": 5, "displacement": 0.9, "excitation": False,
    }),
    "FixedVar": ("fixedVar", {"priority": 5, "setpoint": 50.0, "unit": "PctMaxVar"}),
    "Gradients": ("gradient", {
        "priority": 5, "gradient": 60.0, "softGradient": 300.0,
    }),
    "HFMustTrip": ("curve", trip((51.5, 1.0), (52.0, 0.1))),
    "HFMayTrip": ("curve", trip((51.5, 3.0), (52.0, 1.0))),
    "HVMustTrip": ("curve", trip((110.0, 2.0), (120.0, 0.1))),
    "HVMomCess": ("curve", trip((110.0, 0.2))),
    "HVMayTrip": ("curve", trip((110.0, 3.0))),
    "LimitMaxDischarge": ("limitMaxDischarge", {
        "priority": 5, "pctMaxDischargePower": 50.0,
    }),
    "LFMustTrip": ("curve", trip((47.5, 0.1), (48.5, 1.0))),
    "LVMustTrip": ("curve", trip((50.0, 0.2), (88.0, 2.0))),
    "LVMomCess": ("curve", trip((80.0, 0.2))),
    "LVMayTrip": ("curve", trip((80.0, 3.0))),
    "PowerMonitoringMustTrip": (
        "curve", trip((0.0, 100.0), (2.0, 60.0), (4.0, 40.0))),
    "VoltVar": ("curve", curve("PctMaxVar", (100.0, 0.0), (108.0, -60.0))),
    "VoltWatt": ("curve", curve("PctMaxW", (106.0, 100.0), (110.0, 20.0))),
    "WattPF": ("curve", trip((0.0, 1.0), (50.0, 0.9))),
    "WattVar": ("curve", curve("PctMaxVar", (0.0, 0.0), (50.0, -50.0))),
}  # fmt: skip
TIMED = [name for name in EXAMPLES if name not in ("EnterService", "Gradients")]


def control(
    kind: str,
    control_id: str = "C1",
    *,
    after_s: float | None = None,
    for_s: float = 600.0,
    **changes: Any,
) -> Payload:
    """A SetDERControl; a default one without `after_s` (seconds from START)."""
    field, example = EXAMPLES[kind]
    body = {**example, **changes}
    if after_s is not None:
        body["startTime"] = (START + timedelta(seconds=after_s)).isoformat()
        body["duration"] = for_s
    return {
        "isDefault": after_s is None, "controlId": control_id, "controlType": kind,
        field: body,
    }  # fmt: skip


def rig(**more: Any) -> Rig:
    return Rig(config(evse={"inverter": INVERTER}, **more)).boot()


def put(rig: Rig, kind: str, control_id: str = "C1", **more: Any) -> Answer:
    return rig.call("SetDERControl", control(kind, control_id, **more))


def rules(rig: Rig, evse_id: int = 1) -> GridRules:
    """Those that the heart was told last."""
    told = [
        r for r in rig.asked()
        if isinstance(r, GridRulesRequest) and r.evse_id == evse_id
    ]  # fmt: skip
    return told[-1].rules if told else NO_RULES


def running(rig: Rig) -> dict[str, bool]:
    """Control id -> isSuperseded, as reported."""
    rig.clear()
    rig.call("GetDERControl", {"requestId": 1})
    found = {}
    for report in rig.payloads("ReportDERControl"):
        for items in report.values():
            if isinstance(items, list):
                found |= {i["id"]: i.get("isSuperseded", False) for i in items}
    return found
