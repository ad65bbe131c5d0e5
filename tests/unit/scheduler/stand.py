"""A stand for the heart: fake bridge, stage, meter, vehicle and clock, stepped by hand.

The plant is ideal (power follows the command within a tick), the clock moves only when
the test says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chargerd import config
from chargerd.clock import Now
from chargerd.evse.outcome import Outcome
from chargerd.model import (
    Authorisation,
    AuthQuestion,
    Decision,
    DispatchSignal,
    EvseReport,
    OperationMode,
    Priority,
    Segment,
    SessionPhase,
    StartRequest,
    Token,
    VehicleDemand,
    VehicleLimits,
    VehicleOffer,
    VehiclePhase,
    VehicleState,
)
from chargerd.scheduler import month
from chargerd.scheduler.battery_profile import PLAIN, Profiles
from chargerd.scheduler.cycle import Cycle
from firmware_bridge.api import (
    Command,
    MeterReading,
    PilotReading,
    PilotState,
    Reading,
    StageMode,
    StageReading,
    Telemetry,
)

T0 = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TOKEN = Token("04AABBCC")
VOLTS = 350.0
EFFICIENCY = 0.94


def at(mono: float) -> Now:
    """The instant `mono` seconds after T0; the monotonic clock reads 1000 there."""
    return Now(1000.0 + mono, T0 + timedelta(seconds=mono))


@dataclass
class FakeVehicle:
    """A V2H car behind its protocol: takes what is offered, within its own limits."""

    soc_pct: float | None = 60.0
    capacity_wh: float | None = 40_000.0
    max_a: float = 25.0
    phase: VehiclePhase = VehiclePhase.NONE
    plugged: bool = False
    last: VehicleOffer = field(default_factory=lambda: VehicleOffer(0.0))
    faults: frozenset[str] = frozenset()
    frozen: bool = False
    steps: int = 0
    mono: float = 0.0

    def offer(self, offer: VehicleOffer) -> None:
        self.last = offer
        if not self.plugged:
            self.phase = VehiclePhase.NONE
            return
        if offer.energise and not offer.fault_stop:
            order = [
                VehiclePhase.NONE,
                VehiclePhase.HANDSHAKE,
                VehiclePhase.CABLE_CHECK,
                VehiclePhase.PRECHARGE,
                VehiclePhase.ENERGY,
            ]
            if self.phase in order[:-1]:
                self.phase = order[order.index(self.phase) + 1]
        elif self.phase not in (VehiclePhase.NONE, VehiclePhase.ENDED):
            stopping = self.phase is VehiclePhase.STOPPING
            self.phase = VehiclePhase.ENDED if stopping else VehiclePhase.STOPPING

    def amps(self) -> tuple[float, float]:
        """What it takes and gives at most."""
        return self.max_a, self.max_a

    def soc_mono(self) -> float:
        """When its SoC was heard."""
        return self.mono

    def state(self) -> VehicleState:
        if self.phase is VehiclePhase.NONE:
            return VehicleState()
        energy = self.phase is VehiclePhase.ENERGY
        closed = energy or self.phase is VehiclePhase.PRECHARGE
        charge_a, discharge_a = self.amps()
        return VehicleState(
            protocol="chademo",
            phase=self.phase,
            limits=VehicleLimits(
                at_mono=self.mono,
                charge_a=charge_a,
                discharge_a=-discharge_a,
                voltage_max_v=410.0,
                voltage_min_v=250.0,
                requested_a=min(self.max_a, self.last.charge_a),
                discharge_allowed=energy,
            ),
            demand=VehicleDemand(
                d1=True,
                close_dc=closed,
                lock=True,
                voltage_v=VOLTS if closed else 0.0,
                cutoff_v=260.0,
            ),
            soc_pct=None if self.soc_pct is None else float(int(self.soc_pct)),
            soc_at_mono=self.soc_mono(),
            capacity_wh=self.capacity_wh,
            faults=self.faults,
        )

    async def run(self) -> None:
        return


class FakeBridge:
    """Pilot, stage and meters of an ideal plant for any number of EVSEs."""

    def __init__(self, ids: tuple[int, ...], *, with_site: bool = False) -> None:
        self.commands: dict[int, Command] = {}
        self.pilot = {i: PilotReading(PilotState.A, dc_closed=False) for i in ids}
        self.power_w = dict.fromkeys(ids, 0.0)
        self.import_wh = dict.fromkeys(ids, 1000.0)
        self.export_wh = dict.fromkeys(ids, 500.0)
        self.current_a = dict.fromkeys(ids, 0.0)
        self.mode = dict.fromkeys(ids, StageMode.OFF)
        self.mono = 0.0
        self.with_site = with_site
        self.house_w = 500.0
        self.hertz = 50.0
        self.site_volts = self.own_volts = 230.0
        self.silent: set[str] = set()
        self.frozen: set[str] = set()
        self.gain = 1.0
        self.lying = (
            False  # EVSE meters with the wrong sign; the site's tells the truth
        )
        self.share: dict[int, float] = {}  # what a stage makes of its command
        self._kept: dict[str, Reading[MeterReading]] = {}
        self.applied = 0
        self.site_phases: Callable[[], tuple[float, ...]] = tuple
        self.fake_pilot_faults: frozenset[str] = frozenset()

    def apply(self, evse_id: int, command: Command) -> None:
        self.commands[evse_id] = command
        self.applied += 1

    def step(self, mono: float, dt_s: float) -> None:
        """The plant follows the commands whose lease lives."""
        self.mono = mono
        for evse_id, command in self.commands.items():
            live = command.valid_until_mono > mono - dt_s
            stage = command.stage
            closed = command.pins.close_dc and live
            sign = -1.0 if stage.mode is StageMode.DISCHARGE else 1.0
            amps = stage.current_a * sign if closed else 0.0
            amps *= self.share.get(evse_id, 1.0)
            if stage.mode is StageMode.OFF:
                amps = 0.0
            self.current_a[evse_id], self.mode[evse_id] = amps, stage.mode
            dc_w = amps * VOLTS
            self.power_w[evse_id] = dc_w / 0.94 if dc_w >= 0 else dc_w * 0.94
            wh = self.power_w[evse_id] * dt_s / 3600.0
            self.import_wh[evse_id] += max(0.0, wh)
            self.export_wh[evse_id] += max(0.0, -wh)
            self.pilot[evse_id] = replace(
                self.pilot[evse_id],
                dc_closed=closed,
                faults=self.fake_pilot_faults,
            )

    def _meter(self, name: str, power_w: float, wh: tuple[float, float]):  # type: ignore[no-untyped-def]
        if name in self.silent:
            return self._kept.get(name)
        if name in self.frozen and name in self._kept:
            return Reading(self._kept[name].value, self.mono)
        volts = self.site_volts if name == "site" else self.own_volts
        noise = (self.mono * 977.0) % 1.0 * 0.01
        value = MeterReading(
            power_w * self.gain,
            *wh,
            frequency_hz=self.hertz + noise,
            voltage_v=(volts + noise,),
        )
        self._kept[name] = Reading(value, self.mono)
        return self._kept[name]

    def telemetry(self, evse_id: int) -> Telemetry:
        registers = (self.import_wh[evse_id], self.export_wh[evse_id])
        stage = StageReading(
            VOLTS, self.current_a[evse_id], self.mode[evse_id], on=True
        )
        pilot_mono = self._kept_pilot_mono()
        sign = -1.0 if self.lying else 1.0
        return Telemetry(
            pilot=Reading(self.pilot[evse_id], pilot_mono),
            stage=Reading(stage, self.mono),
            meter=self._meter(
                f"meter{evse_id}", sign * self.power_w[evse_id], registers
            ),
        )

    def _kept_pilot_mono(self) -> float:
        return self.mono - 10.0 if "pilot" in self.silent else self.mono

    def site_meter(self) -> Reading[MeterReading] | None:
        if not self.with_site:
            return None
        total = self.house_w + sum(self.power_w.values())
        reading = self._meter("site", total, (0.0, 0.0))
        if reading is None or "site" in self.silent:
            return reading  # type: ignore[no-any-return]
        value = replace(reading.value, phase_power_w=self.site_phases())
        return Reading(value, reading.at_mono)


class Stand:
    """A Cycle in the stand. `run(seconds)` steps 50 ms at a time."""

    def __init__(
        self,
        count: int = 1,
        *,
        owner: config.Owner | None = None,
        site: config.Site | None = None,
        with_site: bool = False,
        discharged: month.Month = month.EMPTY,
        profiles: Profiles = PLAIN,
        kept: dict[str, dict[str, Any]] | None = None,
        **evse: object,
    ) -> None:
        ids = tuple(range(1, count + 1))
        self.mono = 1000.0
        self.bridge = FakeBridge(ids, with_site=with_site)
        self.vehicles = {i: FakeVehicle() for i in ids}
        self.reports: list[EvseReport] = []
        self.questions: list[AuthQuestion] = []
        self.outcomes: list[Outcome] = []
        self.months: list[month.Month] = []
        self.kept: dict[str, dict[str, Any]] = {}  # for the next start
        values = {"charge_w": 7400.0, "discharge_w": 7400.0} | evse
        self.cycle = Cycle(
            tuple(make_evse(i, **values) for i in ids),
            site or config.Site(import_w=20_000, export_w=20_000, export_permit="TEST"),
            owner or config.Owner(departure="", floor_soc_pct=20.0),
            self.bridge,
            self.vehicles,
            self.now,
            (self.reports.append,),
            self.questions.append,
            self.outcomes.append,
            discharged=discharged,
            keep_month=self.months.append,
            profiles=profiles,
            kept=kept,
            keep=self._keep,
        )

    def _keep(self, name: str, evse_id: int, value: object) -> None:
        self.kept.setdefault(name, {})[str(evse_id)] = value

    def now(self) -> Now:
        return at(self.mono - 1000.0)

    def run(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / 0.05))):
            self.beat()

    def beat(self, dt_s: float = 0.05) -> None:
        self.mono += dt_s
        self.bridge.step(self.mono, dt_s)
        for vehicle in self.vehicles.values():
            if not vehicle.frozen:
                vehicle.mono = self.mono
        self.cycle.tick(self.now())

    def plug(self, evse_id: int = 1) -> None:
        self.vehicles[evse_id].plugged = True
        self._proximity(evse_id, on=True)

    def unplug(self, evse_id: int = 1) -> None:
        self.vehicles[evse_id].plugged = False
        self._proximity(evse_id, on=False)

    def _proximity(self, evse_id: int, *, on: bool) -> None:
        reading = self.bridge.pilot[evse_id]
        self.bridge.pilot[evse_id] = replace(reading, chademo_proximity=on)

    def start(self, evse_id: int = 1) -> None:
        """Plug in, authorise, and wait until energy flows."""
        self.run(1.0)
        self.plug(evse_id)
        self.beat()
        self.cycle.request(StartRequest(evse_id, TOKEN))
        self.run(3.0)

    def answer(self, accepted: bool = True, **values: object) -> None:
        for question in self.questions:
            self.cycle.request(
                Authorisation(question.evse_id, question.token, accepted, **values)  # type: ignore[arg-type]
            )
        self.questions.clear()

    def setpoint(
        self,
        power_w: float,
        seconds: float = 60.0,
        *,
        evse_id: int = 1,
        **values: object,
    ) -> None:
        self.cycle.signal(make_signal(self.mono, power_w, seconds, evse_id, **values))

    def decision(self, evse_id: int = 1) -> Decision:
        return self.report(evse_id).decision

    def report(self, evse_id: int = 1) -> EvseReport:
        return next(r for r in reversed(self.reports) if r.snapshot.evse_id == evse_id)

    def phase(self, evse_id: int = 1) -> SessionPhase:
        return self.report(evse_id).snapshot.session.phase


def make_signal(
    mono: float,
    power_w: float | None,
    seconds: float = 60.0,
    evse_id: int = 1,
    *,
    source: str = "ocpp.tx",
    priority: Priority = Priority.SETPOINT,
    mode: OperationMode = OperationMode.CENTRAL_SETPOINT,
    limit_w: float | None = None,
    discharge_limit_w: float | None = None,
) -> DispatchSignal:
    segment = Segment(mono, mode, power_w, limit_w, discharge_limit_w)
    return DispatchSignal(source, evse_id, priority, (segment,), mono, mono + seconds)


def make_evse(evse_id: int = 1, **values: object) -> config.Evse:
    device = {"driver": "x", "at": "serial:/dev/null"}
    devices = {"pilot": device, "meter": device, "stage": device}
    return config.Evse.model_validate({"id": evse_id, "devices": devices} | values)
