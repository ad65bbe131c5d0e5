"""Schedules for vehicles that plan (K15 to K19), and the plans they answer with.

Owns the frame that the heart passes on to an ISO 15118 vehicle, how long it may wait
for one, and NotifyEVChargingSchedule. A new frame is what makes the vehicle's door
negotiate again (K16); the live limits hold at once whatever the vehicle has agreed to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from chargerd.clock import Now
from chargerd.model import EnergySchedule, EvseReport, VehiclePlan, VehicleSchedule
from chargerd.ocpp.blocks import vehicle_frame
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView, failed, stamp
from chargerd.ocpp.blocks.dispatch import context
from chargerd.ocpp.blocks.profile_store import Installed, ProfileStore
from chargerd.ocpp.blocks.smart_charging import SmartCharging
from chargerd.ocpp.composite import Composite
from chargerd.ocpp.effects import Answer, OcppError, Payload
from chargerd.ocpp.profiles import Profile

REMAKE_S = 3_600.0  # a frame looks a day ahead
FIRST_WAIT_S = 600.0  # for the question itself: the driver may have to find the card
SAME_S = 1.0
PLAIN = ("id", "chargingRateUnit", "chargingSchedulePeriod", "duration",
         "startSchedule")  # fmt: skip


@dataclass(slots=True)
class _Frame:
    """What one vehicle was told."""

    wanted: bool = False  # it speaks a protocol with schedules
    version: tuple[object, ...] = ()
    schedule: EnergySchedule | None = None
    made_mono: float = -math.inf
    awaited_mono: float = 0.0
    plan_number: int = 0


class VehicleSchedules(Block):
    def __init__(
        self, desk: Desk, store: ProfileStore, charging: SmartCharging
    ) -> None:
        self._desk = desk
        self._store = store
        self._charging = charging
        self._frames = {evse_id: _Frame() for evse_id in desk.evses}

    # What ChargingNeeds tells.

    def expect(self, view: EvseView, now: Now) -> None:
        """A vehicle that plans has come; it will ask."""
        frame = self._frames[view.config.id]
        frame.wanted = True
        wait = self._wait_s > 0.0 and self._reachable
        frame.awaited_mono = now.mono + FIRST_WAIT_S if wait else 0.0
        self._make(view, now, told=True)

    def ask(self, view: EvseView, now: Now, *, wait: bool) -> None:
        """The CSMS is asked: its schedule may come within the time configured."""
        frame = self._frames[view.config.id]
        frame.awaited_mono = now.mono + self._wait_s if wait else 0.0
        self._make(view, now, told=True)

    def stop_waiting(self, view: EvseView, now: Now) -> None:
        frame = self._frames[view.config.id]
        if frame.awaited_mono > now.mono:
            frame.awaited_mono = 0.0
            self._make(view, now, told=True)

    def forget(self, view: EvseView) -> None:
        """The session is over."""
        frame = self._frames[view.config.id]
        if frame.schedule is not None or frame.awaited_mono:
            self._desk.ask(VehicleSchedule(view.config.id, None))
        self._frames[view.config.id] = _Frame()
        view.accepted_plan = None

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        if not up:  # the default profile it is (K15.FR.15)
            for view in self._desk.evses.values():
                self.stop_waiting(view, now)

    @property
    def _wait_s(self) -> float:
        return self._desk.config.ocpp.schedule_wait_s

    @property
    def _reachable(self) -> bool:
        return self._desk.online and self._desk.accepted

    # The frame.

    def on_second(self, now: Now) -> None:
        for view in self._desk.evses.values():
            frame = self._frames[view.config.id]
            if not frame.wanted:
                continue
            version = self._version(view)
            if version != frame.version or now.mono - frame.made_mono >= REMAKE_S:
                self._make(view, now)

    def _version(self, view: EvseView) -> tuple[object, ...]:
        """What the frame is made from."""
        number = view.transaction_id
        offline = self._desk.offline_since_mono
        return self._store.version, number, view.ready_mono, view.priority, offline

    def _make(self, view: EvseView, now: Now, *, told: bool = False) -> None:
        """Tell the heart when the frame says something new, or `told` anyhow."""
        frame, config = self._frames[view.config.id], view.config
        frame.version, frame.made_mono = self._version(view), now.mono
        first, *others = [
            self._option(view, number, now) for number in range(self._count(view))
        ]
        made = first
        if first is not None:
            made = replace(first, others=tuple(o for o in others if o is not None))
        come = view.needs_told and self._of_csms(view) is not None
        if come and frame.awaited_mono > now.mono:  # no need to wait (K18.FR.20)
            frame.awaited_mono, told = 0.0, True
        if told or not _same(frame.schedule, made, now.mono):
            frame.schedule = made
            self._desk.ask(VehicleSchedule(config.id, made, frame.awaited_mono))

    def _option(self, view: EvseView, number: int, now: Now) -> EnergySchedule | None:
        """The frame, had the vehicle chosen the schedules of this number."""
        config = view.config
        ctx = context(self._desk, config.id, now, self._store.dyn_mono)
        profiles = map(_open, self._store.alternative(number))
        branch = Composite(profiles, ctx).whole
        needs = view.report.snapshot.vehicle.needs if view.report else None
        most = needs.max_entries if needs else None
        ratings = config.charge_w, -config.discharge_w
        prices, currency = self._prices(view, number, now, ctx.relative_s)
        return vehicle_frame.frame(branch, now, ratings, most, prices, currency)

    def _count(self, view: EvseView) -> int:
        """How many the CSMS lets the vehicle choose from (K15.FR.22, K18.FR.24)."""
        return max((len(i.choices) for i in self._tx_profiles(view)), default=1) or 1

    def _of_csms(self, view: EvseView) -> Installed | None:
        """The transaction's own profile that counts most."""
        found = self._tx_profiles(view)
        return max(found, key=lambda i: i.profile.stack_level, default=None)

    def _tx_profiles(self, view: EvseView) -> list[Installed]:
        return [
            item
            for item in self._store.find({"chargingProfilePurpose": "TxProfile"})
            if view.transaction_id
            and item.profile.transaction_id == view.transaction_id
        ]

    def _prices(
        self, view: EvseView, number: int, now: Now, relative_s: float | None
    ) -> tuple[vehicle_frame.Prices, str]:
        """Of the profile that counts for this EVSE."""
        default = self._store.find({"chargingProfilePurpose": "TxDefaultProfile"})
        mine = [i for i in default if i.profile.evse_id in (0, view.config.id)]
        item = self._of_csms(view) or max(
            mine, key=lambda i: i.profile.stack_level, default=None
        )
        if item is None:
            return [], ""
        now_s = now.utc.timestamp()
        chosen, schedules = item.choice(number), item.payload["chargingSchedule"]
        start_s = vehicle_frame.began_s(chosen, now_s, relative_s)
        schedule = schedules[min(number, len(schedules) - 1)]
        try:
            return vehicle_frame.prices(schedule, start_s)
        except OcppError:  # a time that is none: without prices, then
            return [], ""

    # The vehicle's plan.

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        plan, frame = report.snapshot.vehicle.plan, self._frames[view.config.id]
        if plan is None or plan.number == frame.plan_number or not frame.wanted:
            return
        frame.plan_number = plan.number
        view.accepted_plan = None
        if plan.option < self._count(view):
            self._store.choose(view.transaction_id, plan.option)
            self._charging.refresh(now)
        item = self._of_csms(view)
        if item is None:
            return  # it follows no schedule of the CSMS
        schedule = item.schedule
        told = _plan_schedule(plan, schedule["id"]) if plan.own else _plain(schedule)
        start_mono = plan.parts[0][0] if plan.own else now.mono
        payload: Payload = {
            "timeBase": stamp(now.utc_at(start_mono)),
            "evseId": view.config.id,
            "chargingSchedule": told,
            "selectedChargingScheduleId": schedule["id"],
        }

        def answered(request: Payload, answer: Answer, later: Now) -> None:
            """An accepted plan is what is expected (K15.FR.14, SC.04)."""
            accepted = not failed(answer) and isinstance(answer, dict)
            if accepted and answer["status"] == "Accepted":  # type: ignore[index]
                current = view.report.snapshot.vehicle.plan if view.report else None
                if plan.own and current == plan:
                    view.accepted_plan = plan

        self._desk.send("NotifyEVChargingSchedule", payload, now, answered=answered)


def _plan_schedule(plan: VehiclePlan, number: int) -> Payload:
    """ChargingScheduleType of the vehicle's own plan; what it gives is a setpoint."""
    begin_mono = plan.parts[0][0]
    periods: list[Payload] = []
    for start_mono, power_w in plan.parts:
        period: Payload = {"startPeriod": max(0, round(start_mono - begin_mono))}
        if power_w < 0.0:
            period["operationMode"] = "CentralSetpoint"
            period["setpoint"] = round(power_w, 1)
        else:
            period["limit"] = round(power_w, 1)
        periods.append(period)
    return {
        "id": number,
        "chargingRateUnit": "W",
        "duration": max(1, round(plan.until_mono - begin_mono)),
        "chargingSchedulePeriod": periods,
    }


def _open(profile: Profile) -> Profile:
    """A Dynamic one's limits change at any time: the loop carries them, and the vehicle
    need not negotiate at each (K28)."""
    if profile.kind != "Dynamic":
        return profile
    periods = tuple(
        replace(period, limit_w=None, discharge_limit_w=None, limit_phases_w=())
        for period in profile.periods
    )
    return replace(profile, periods=periods)


def _plain(schedule: Payload) -> Payload:
    """The schedule that the vehicle follows, without prices (K15.FR.19, K19.FR.10)."""
    return {name: schedule[name] for name in PLAIN if name in schedule}


def _same(
    old: EnergySchedule | None, new: EnergySchedule | None, now_mono: float
) -> bool:
    """The same words about the time that both speak of."""
    if old is None or new is None:
        return old is new
    if old.currency != new.currency or old.until_mono < now_mono + REMAKE_S:
        return False
    if len(old.others) != len(new.others) or not all(
        _same(a, b, now_mono) for a, b in zip(old.others, new.others, strict=True)
    ):
        return False
    gone = sum(1 for part in old.parts if part.start_mono <= now_mono)
    mine, theirs = old.parts[max(0, gone - 1) :], new.parts
    return len(mine) <= len(theirs) and all(
        replace(a, start_mono=b.start_mono) == b
        and abs(max(a.start_mono, now_mono) - b.start_mono) <= SAME_S
        for a, b in zip(mine, theirs, strict=False)
    )
