"""A vehicle of ISO 15118 that asks, at a station with a CSMS."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chargerd.model import (
    SessionPhase,
    VehicleLimits,
    VehicleNeeds,
    VehiclePlan,
    VehicleSchedule,
    VehicleState,
)
from tests.unit.ocpp.profile_kit import install, profile
from tests.unit.ocpp.station_rig import V21, Rig

P = SessionPhase
NEEDS = VehicleNeeds(energy="DC", target_wh=20_000.0, asked=1, max_entries=12)
LIMITS = VehicleLimits(
    0.0, charge_a=120.0, discharge_a=-60.0, voltage_max_v=400.0, voltage_min_v=200.0
)
OLD = VehicleState(
    protocol="iso15118-2", soc_pct=40.0, capacity_wh=60_000.0, limits=LIMITS
)
NEW = replace(OLD, protocol="iso15118-20")
V2X = replace(
    NEEDS, energy="DC_BPT", dynamic=True, by_station=True, min_wh=-5_000.0,
    max_wh=30_000.0, v2x_min_wh=1_000.0, v2x_max_wh=9_000.0, target_soc_pct=80.4,
    min_charge_w=100.0, min_discharge_w=-200.0,
)  # fmt: skip
SCHEDULED = replace(V2X, dynamic=False)


class Stand:
    """A vehicle that has asked, plugged in at a station with a CSMS."""

    def __init__(
        self, vehicle: VehicleState, *, version: str = V21, online: bool = True,
        conf: Any = None,
    ) -> None:  # fmt: skip
        self.rig = Rig(conf, version=version).boot()
        self.vehicle = vehicle
        self.seen(phase=P.STARTING)
        if not online:
            self.rig.link(up=False)

    def seen(self, **more: Any) -> None:
        self.more = {"phase": P.ENERGY, "authorised": True, **more}
        self.rig.observe(vehicle=self.vehicle, **self.more)

    def says(self, needs: VehicleNeeds, **more: Any) -> None:
        changed = {k: v for k, v in more.items() if hasattr(self.vehicle, k)}
        rest = {k: v for k, v in more.items() if k not in changed}
        self.vehicle = replace(self.vehicle, needs=needs, **changed)
        self.seen(**rest)

    def plans(self, *parts: tuple[float, float], own: bool = True, number: int = 1) -> (
        VehiclePlan
    ):  # fmt: skip
        now = self.rig.now.mono
        told = tuple((now + start, power_w) for start, power_w in parts)
        plan = VehiclePlan(number, told, now + 3_600.0, own=own)
        self.vehicle = replace(self.vehicle, plan=plan)
        self.seen()
        return plan

    def told(self) -> list[Any]:
        return self.rig.payloads("NotifyEVChargingNeeds")

    def answer(self, status: str) -> None:
        send = self.rig.last("NotifyEVChargingNeeds")
        self.rig.answer(send, {"status": status})

    @property
    def transaction(self) -> str:
        number: str = self.rig.events()[-1]["transactionInfo"]["transactionId"]
        return number

    def schedules(self) -> list[VehicleSchedule]:
        return [a for a in self.rig.asked() if isinstance(a, VehicleSchedule)]

    def tx(self, **more: Any) -> dict[str, Any]:
        made = profile(purpose="TxProfile", transactionId=self.transaction, **more)
        return install(self.rig, made)
