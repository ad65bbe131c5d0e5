"""The heart's beat: 20 Hz and on every new signal, one tick for every EVSE.

The only async file of the scheduler. Drains the inbox, reads the cells, runs each
EVSE's Runner, gives commands to the bridge and offers to the vehicles, and reports.
Must never wait inside a tick.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from chargerd import config
from chargerd.clock import Now
from chargerd.evse import authorize, registers, wear
from chargerd.evse.outcome import Outcome
from chargerd.evse.session import RUNNING
from chargerd.model import (
    AuthQuestion,
    AvailabilityRequest,
    CertificateAsk,
    Decision,
    DispatchSignal,
    EnergySchedule,
    EvseReport,
    FaultNotice,
    FrequencyTest,
    GridRulesRequest,
    IslandRequest,
    KeepRequest,
    Request,
    ResetRequest,
    SessionPhase,
    StartRequest,
    StopReason,
    StopRequest,
    TokenRead,
    VehicleDoor,
    VehicleState,
)
from chargerd.model_grid import NO_RULES, GridRules
from chargerd.plan import Plan, PriceSeries
from chargerd.scheduler import droop, kept_promise, month, promise
from chargerd.scheduler.battery_profile import PLAIN, Profiles
from chargerd.scheduler.blackout import Blackout
from chargerd.scheduler.connection import Connection
from chargerd.scheduler.evse_reset import EvseResets
from chargerd.scheduler.planner import outlook
from chargerd.scheduler.planner.outlook import SiteOutlook
from chargerd.scheduler.runner import Runner
from chargerd.scheduler.signals import SchedulerError, Signals, check
from chargerd.scheduler.surroundings import Result, Surroundings
from chargerd.scheduler.tariff import Prices
from firmware_bridge.api import Bridge

log = structlog.get_logger(__name__)

PERIOD_S = 0.05
INBOX_MAX = 256
HISTORY = 500
RAMP_DOWN_S = 3.0
STOP_S = 25.0  # after this a safe stop is over, whatever the devices say
OVERRUN_S = 0.25  # a tick so late is told as a fault
MONTH_STEP_WH = 100.0
_SAME_W = 50.0
_NO_VEHICLE = VehicleState()


@dataclass(slots=True)
class Stats:
    """Counters of the beat; `late_s` and `took_s` hold the last 1200 ticks."""

    ticks: int = 0
    overruns: int = 0
    refused_requests: int = 0
    late_s: deque[float] = field(default_factory=lambda: deque(maxlen=1200))
    took_s: deque[float] = field(default_factory=lambda: deque(maxlen=1200))
    answered_s: deque[float] = field(default_factory=lambda: deque(maxlen=1200))


class Cycle:
    """The scheduler's only shell. All methods are called on the one loop."""

    def __init__(
        self,
        evses: tuple[config.Evse, ...],
        site: config.Site,
        owner: config.Owner,
        bridge: Bridge,
        vehicles: Mapping[int, VehicleDoor],
        now: Callable[[], Now],
        reporters: tuple[Callable[[EvseReport], None], ...] = (),
        ask: Callable[[AuthQuestion | CertificateAsk], None] = lambda question: None,
        outcome: Callable[[Outcome], None] = lambda outcome: None,
        certificate_service: Callable[[], bool] = lambda: False,
        discharged: month.Month = month.EMPTY,
        keep_month: Callable[[month.Month], None] = lambda month: None,
        profiles: Profiles = PLAIN,
        kept: Mapping[str, Mapping[str, object]] | None = None,
        keep: Callable[[str, int, object], None] = lambda name, evse_id, value: None,
    ) -> None:
        self._site, self._owner = site, owner
        self._bridge, self._vehicles, self._now = bridge, vehicles, now
        self._reporters, self._ask, self._outcome = reporters, ask, outcome
        self._certificate_service = certificate_service
        started = now()
        started_mono = started.mono
        self._runners = _runners(evses, owner, site, profiles, started, kept or {})
        self._keep = keep
        self._wishes: dict[int, kept_promise.Wish | None] = {}  # as kept
        self._signals = Signals()
        self._connection = Connection(evses, site)
        self.blackout = Blackout(evses, site)
        self._inbox: deque[Request] = deque()
        self._wake = asyncio.Event()
        self._history: dict[int, deque[Decision]] = {
            e.id: deque(maxlen=HISTORY) for e in evses
        }
        self._station_faults: frozenset[str] = frozenset()
        self.zone = _zone(owner.timezone)
        self._prices = Prices(site.tariff, self.zone)
        self._plans: dict[int, Plan] = {}
        self._service = _service(site)
        self._rules: dict[int, GridRules] = {}  # the network operator's
        self._month, self._keep_month = discharged, keep_month
        self._kept_month = discharged
        self._stop_since_mono: float | None = None
        self._stop_reason = StopReason.OTHER
        self._stop_sent = False
        self._reset: ResetRequest | None = None
        self._evse_resets = EvseResets()
        self._late_until_mono = 0.0
        self._signalled_mono: float | None = None  # the oldest signal not yet acted on
        self.on_reset: Callable[[ResetRequest], None] = lambda request: None
        self.stats = Stats()
        self.last_tick_mono = started_mono

    # -- cells and inbox -------------------------------------------------------

    def signal(self, signal: DispatchSignal) -> bool:
        """A new dispatch signal, decided upon at once; False and logged if refused."""
        now_mono = self._now().mono
        try:
            self._signals.put(signal, now_mono)
        except SchedulerError as error:
            log.warning("signal_refused", why=str(error))
            return False
        if self._signalled_mono is None:
            self._signalled_mono = now_mono
        self._wake.set()
        return True

    def plan(self, plan: Plan) -> None:
        """The newest plan of an EVSE."""
        self._plans[plan.evse_id] = plan

    def request(self, request: Request) -> bool:
        """Put a request into the inbox; False (and counted) when it is full."""
        if len(self._inbox) >= INBOX_MAX:
            self.stats.refused_requests += 1
            log.warning("inbox_full", request=type(request).__name__, held=INBOX_MAX)
            return False
        self._inbox.append(request)
        self._wake.set()
        return True

    # -- what readers ask ------------------------------------------------------

    def outlook(self) -> SiteOutlook:
        """What the plan layer plans for."""
        house_w = self._connection.house_w
        return outlook.of_site(self._runners.values(), self._site, house_w)

    def prices(self, now: Now) -> PriceSeries | None:
        """The configured tariff as a series."""
        return self._prices.series(now)

    def simulate(self, evse_id: int, signal: DispatchSignal) -> Decision:
        """What `signal` would lead to, without ramp; nothing changes.

        Raises SchedulerError for an unknown EVSE or a signal that would be refused.
        """
        runner = self._runners.get(evse_id)
        if runner is None:
            raise SchedulerError(f"no EVSE {evse_id}; there are {list(self._runners)}")
        return runner.what_if(check(signal), self._now())

    def history(self, evse_id: int) -> tuple[Decision, ...]:
        """The last decisions that differed, oldest first."""
        return tuple(self._history.get(evse_id, ()))

    def safe_stop(self, why: str, reason: StopReason = StopReason.REBOOT) -> None:
        """Ramp to 0 W, end the sessions, open the contactors in order (law 10)."""
        if self._stop_since_mono is not None:
            return
        log.info("safe_stop", why=why)
        self._stop_since_mono = self._now().mono
        self._stop_reason = reason
        self._wake.set()

    def stopped(self) -> bool:
        """True when every EVSE is at 0 A with its contactors open."""
        if self._stop_since_mono is None:
            return False
        if self.last_tick_mono - self._stop_since_mono >= STOP_S:
            return True
        quiet = (SessionPhase.IDLE, SessionPhase.CONNECTED, SessionPhase.FINISHED)
        return self._stop_sent and all(
            r.state.session.phase in quiet and not r.closed and abs(r.current_a) < 1.0
            for r in self._runners.values()
        )

    # -- the beat --------------------------------------------------------------

    async def run(self) -> None:
        """Tick until cancelled."""
        due_mono = self._now().mono
        while True:
            await self._sleep(due_mono)
            now = self._now()
            if now.mono >= due_mono:
                self._note_late(now.mono - due_mono, now.mono)
                due_mono += PERIOD_S
                if due_mono <= now.mono:
                    due_mono = now.mono + PERIOD_S
            self._wake.clear()
            self.tick(now)
            self._note_took(now.mono, self._now().mono)

    async def _sleep(self, due_mono: float) -> None:
        """Until the next beat, a wake, or a signal's own change, but never no turn."""
        now_mono = self._now().mono
        until = min(due_mono, self._signals.next_change_mono(now_mono))
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(max(0.0, until - self._now().mono)):
                await self._wake.wait()
        except TimeoutError:
            return

    def _note_late(self, late_s: float, now_mono: float) -> None:
        self.stats.late_s.append(late_s)
        if late_s > PERIOD_S:
            self.stats.overruns += 1
        if late_s > OVERRUN_S:
            self._late_until_mono = now_mono + 1.0

    def _note_took(self, began_mono: float, ended_mono: float) -> None:
        self.stats.took_s.append(ended_mono - began_mono)
        if self._signalled_mono is not None:
            self.stats.answered_s.append(ended_mono - self._signalled_mono)
            self._signalled_mono = None

    def tick(self, now: Now) -> None:
        """One beat for every EVSE; never waits. Tests call it with a time of theirs."""
        self.stats.ticks += 1
        requests = self._drain()
        self._stop_step(now, requests)
        anew = self._evse_resets.due(self._runners)
        for stop in self._evse_resets.stops(self._runners):
            requests.setdefault(stop.evse_id, []).append(stop)
        site_meter = self._bridge.site_meter()
        caps = self._signals.station_caps(now.mono)
        self._connection.look(site_meter, self._runners, now.mono, caps)
        self.blackout.look(site_meter, self._runners, now.mono)
        for evse_id in self._connection.order():
            runner = self._runners[evse_id]
            door = self._vehicles.get(evse_id)
            vehicle = door.state() if door is not None else _NO_VEHICLE
            telemetry = self._bridge.telemetry(evse_id)
            self._flag(runner, "SchedulerOverrun", now.mono < self._late_until_mono)
            around = self._surroundings(runner, now, reset=evse_id in anew)
            mine = tuple(requests.get(evse_id, ()))
            closings = runner.watch.wear.total
            leapt = runner.watch.registers.leapt_wh
            result = runner.tick(now, telemetry, vehicle, mine, around)
            if runner.watch.wear.total != closings:
                self._keep("wear", evse_id, wear.pack(runner.watch.wear, now))
            if runner.watch.registers.leapt_wh != leapt:
                self._keep("leapt", evse_id, list(runner.watch.registers.leapt_wh))
            self._keep_wish(runner, now)
            self._bridge.apply(evse_id, result.command)
            if door is not None:
                door.offer(result.offer)
            self._publish(evse_id, runner, result)
        self._count_month(now)
        self.last_tick_mono = now.mono
        self._reset_step()

    def _keep_wish(self, runner: Runner, now: Now) -> None:
        evse_id, wish = runner.evse_id, kept_promise.of(runner.state.session, now)
        if wish != self._wishes.get(evse_id):
            self._wishes[evse_id] = wish
            self._keep("promise", evse_id, kept_promise.pack(wish, now))

    @staticmethod
    def _flag(runner: Runner, name: str, present: bool) -> None:
        if present:
            runner.watch.notices[name] = ""
        elif name in runner.watch.notices:
            del runner.watch.notices[name]

    def _publish(self, evse_id: int, runner: Runner, result: Result) -> None:
        for name in runner.watch.faults.raised:
            log.warning("fault_raised", evse_id=evse_id, fault=name)
        for name in runner.watch.faults.cleared:
            log.info("fault_cleared", evse_id=evse_id, fault=name)
        for event in result.events:
            if isinstance(event, AuthQuestion | CertificateAsk):
                self._ask(event)
            elif isinstance(event, Outcome):
                self._outcome(event)
        self._remember(evse_id, result.report.decision)
        for report in self._reporters:
            report(result.report)

    def _remember(self, evse_id: int, decision: Decision) -> None:
        ring = self._history[evse_id]
        if ring:
            last = ring[-1]
            same = last.source == decision.source and last.mode is decision.mode
            if same and abs(last.power_w - decision.power_w) < _SAME_W:
                return
        ring.append(decision)

    # -- requests --------------------------------------------------------------

    def _drain(self) -> dict[int, list[Request]]:
        """Requests by EVSE; those for the whole station go to each."""
        sorted_out: dict[int, list[Request]] = {}
        while self._inbox:
            request = self._inbox.popleft()
            for evse_id in self._targets(request):
                sorted_out.setdefault(evse_id, []).append(request)
        return sorted_out

    def _targets(self, request: Request) -> tuple[int, ...]:
        every = tuple(self._runners)
        match request:
            case ResetRequest(evse_id=0):
                self._reset = request
                return ()
            case ResetRequest(evse_id=evse_id):
                if evse_id in self._runners:
                    self._evse_resets.ask(request)
                return ()
            case IslandRequest():
                self.blackout.ask()
                return ()
            case FrequencyTest():
                self._connection.test(request)
                return ()
            case GridRulesRequest(rules=rules, evse_id=evse_id):
                ids = (evse_id,) if evse_id else every
                self._rules |= dict.fromkeys(ids, rules)
                return ()
            case TokenRead(evse_ids=evse_ids, token=token):
                sessions = {
                    i: r.state.session
                    for i, r in self._runners.items()
                    if not self._closing(i)
                }
                chosen = authorize.take(token, evse_ids, sessions)
                return (chosen,) if chosen else ()
            case StartRequest(evse_id=evse_id) if self._closing(evse_id):
                return ()
            case FaultNotice():
                self._notice(request, every)
                return ()
            case (
                AvailabilityRequest(evse_id=0)
                | StopRequest(evse_id=0)
                | KeepRequest(evse_id=0)
            ):
                return every
        return (request.evse_id,) if request.evse_id in self._runners else ()

    def _closing(self, evse_id: int) -> bool:
        whole = self._stop_since_mono is not None or self._reset is not None
        return whole or self._evse_resets.closing(evse_id)

    def _notice(self, notice: FaultNotice, every: tuple[int, ...]) -> None:
        ids = every if notice.evse_id == 0 else (notice.evse_id,)
        if notice.evse_id == 0 and notice.present:
            self._station_faults |= {notice.name}
        for evse_id in ids:
            runner = self._runners.get(evse_id)
            if runner is not None:
                runner.watch.notice(notice)

    def _stop_step(self, now: Now, requests: dict[int, list[Request]]) -> None:
        """After the ramp (or its time), end every session, and what still begins."""
        since = self._stop_since_mono
        if since is None:
            return
        at_zero = all(abs(r.power_w) < 1.0 for r in self._runners.values())
        if self._stop_sent or at_zero or now.mono - since >= RAMP_DOWN_S:
            self._stop_sent = True
            for evse_id in self._runners:
                stop = StopRequest(evse_id, self._stop_reason)
                requests.setdefault(evse_id, []).append(stop)

    def _reset_step(self) -> None:
        """Immediate: stop now, then restart. Else: when no session runs (B12)."""
        reset = self._reset
        if reset is None:
            return
        phases = {r.state.session.phase for r in self._runners.values()}
        if reset.immediate and self._stop_since_mono is None:
            self.safe_stop("reset", StopReason.IMMEDIATE_RESET)
        idle = not phases & {*RUNNING, SessionPhase.STOPPING}
        if self.stopped() if reset.immediate else idle:
            self._reset = None
            self.on_reset(reset)

    # -- surroundings ----------------------------------------------------------

    def _surroundings(
        self, runner: Runner, now: Now, *, reset: bool = False
    ) -> Surroundings:
        others = [r for r in self._runners.values() if r is not runner]
        running = sum(1 for r in self._runners.values() if r.state.energise)
        free = runner.state.session.phase in (SessionPhase.IDLE, SessionPhase.FINISHED)
        departure = None
        if self._owner.departure and (free or not runner.departs):
            departure = promise.next_departure(self._owner.departure, self.zone, now)
        cap_kwh = self._owner.discharge_kwh_per_month
        own = self._bridge.telemetry(runner.evse_id).meter
        return Surroundings(
            site=self._connection.site_state(runner, own, now.mono),
            signals=self._service + self._signals.live(runner.evse_id, now.mono),
            station_evses=max(1, running),
            other_charge_w=sum(max(0.0, r.power_w) for r in others),
            other_discharge_w=sum(min(0.0, r.power_w) for r in others),
            share=self._connection.share(runner),
            place=self.blackout.place(runner.evse_id),
            open_grid=self.blackout.state.open_relay,
            discharge_left_wh=month.left_wh(self._month, cap_kwh),
            station_faults=self._station_faults,
            plan=self._plan_of(runner),
            departure_mono=departure,
            certificate_service=self._certificate_service(),
            schedule=self._schedule(runner, now),
            rules=self._rules.get(runner.evse_id, NO_RULES),
            ramp_down=self._stop_since_mono is not None,
            reset=reset,
        )

    def _plan_of(self, runner: Runner) -> Plan | None:
        """Made for the last vehicle, it is none for this one."""
        plan = self._plans.get(runner.evse_id)
        mine = plan is not None and plan.session_id == runner.state.session.id
        return plan if mine else None

    def _count_month(self, now: Now) -> None:
        """Kept each 100 Wh: a restart forgets no more."""
        wh = sum(runner.take_discharged_wh() for runner in self._runners.values())
        self._month = month.add(self._month, wh, self.zone, now)
        kept = self._kept_month
        moved = self._month.discharged_wh - kept.discharged_wh
        if moved >= MONTH_STEP_WH or self._month.name != kept.name:
            self._kept_month = self._month
            self._keep_month(self._month)

    def _schedule(self, runner: Runner, now: Now) -> EnergySchedule | None:
        """The frame that a vehicle may plan in, with the tariff's prices."""
        site, unit = self._site, runner.unit
        charge_w = min(unit.charge_w, site.import_w)
        discharge_w = -unit.discharge_w if site.export_permit else 0.0
        return self._prices.schedule(runner.evse_id, now, charge_w, discharge_w)


def _runners(
    evses: tuple[config.Evse, ...],
    owner: config.Owner,
    site: config.Site,
    profiles: Profiles,
    started: Now,
    kept: Mapping[str, Mapping[str, object]],
) -> dict[int, Runner]:
    """With what was kept of each EVSE over the restart."""
    worn, wishes = kept.get("wear", {}), kept.get("promise", {})
    leapt = kept.get("leapt", {})
    return {
        evse.id: Runner(
            evse,
            owner,
            site,
            started.mono,
            profiles,
            wear.read(worn.get(str(evse.id)), started),
            wishes.get(str(evse.id)),
            registers.read(leapt.get(str(evse.id))),
        )
        for evse in evses
    }


def _service(site: config.Site) -> tuple[DispatchSignal, ...]:
    """The frequency service that this station gives by configuration."""
    if site.frequency_service is None or site.nominal_hz is None:
        return ()
    return (droop.standing(site.frequency_service, site.grid_code, site.nominal_hz),)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SchedulerError(
            f"vehicle.promise.timezone: {name!r} is unknown here; install tzdata"
        ) from error
