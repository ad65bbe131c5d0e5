"""The composition root: configuration -> objects -> supervised children.

The only file that imports every door. Owns the order of start and stop and nothing
else: on a stop 0 W comes first, then the contactors, then the queues, then the exit.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from functools import partial
from typing import Any

import structlog

from chargerd import __version__, config_load, log
from chargerd.clock import Clock
from chargerd.config import Config
from chargerd.evse.outcome import Outcome as SessionOutcome
from chargerd.grid import build as grid
from chargerd.grid.errors import GridError
from chargerd.grid.ports import GridDoor
from chargerd.grid.ports import Ports as GridPorts
from chargerd.local.api import LocalApi
from chargerd.local.metrics import Metrics
from chargerd.local.read_model import Json, ReadModel
from chargerd.local.values import LocalError
from chargerd.local.verbs import Ports
from chargerd.machine import boot_id, seen
from chargerd.model import (
    Decision,
    DispatchSignal,
    EvseReport,
    FaultNotice,
    Request,
    ResetRequest,
    Revocable,
    StopReason,
    StopRequest,
    Token,
    TokenRead,
)
from chargerd.notify import Notifier
from chargerd.ocpp.client import OcppClient
from chargerd.ocpp.effects import OcppError, Save
from chargerd.ocpp.jobs.build import workers as ocpp_workers
from chargerd.ocpp.station import OcppStation
from chargerd.records import build as records
from chargerd.scheduler import month
from chargerd.scheduler.battery_profile import Profiles
from chargerd.scheduler.cycle import PERIOD_S, Cycle
from chargerd.scheduler.planner import house, prices, reserve
from chargerd.scheduler.planner.door import PlanDoor
from chargerd.scheduler.signals import SchedulerError
from chargerd.store.store import Store
from chargerd.supervisor import Child, EssentialFailed, Policy, Supervisor
from chargerd.vehicle import build as vehicles
from chargerd.vehicle.iso15118.errors import V2gError
from firmware_bridge.bridge import build_bridge
from firmware_bridge.units import BridgeError

logger = structlog.get_logger(__name__)

SAFE_STOP_S = 25.0  # TimeoutStopSec is 30
FLUSH_S = 2.0
PARTNERS_S = 5.0
CSMS_LOST_S = 30.0  # Q11 wants it known within 30 s


class Outcome(Enum):
    """How the daemon ended."""

    STOPPED = "stopped"
    RESET = "reset"  # start over: the central system asked for it
    FAILED = "failed"


class BuildError(Exception):
    """A door cannot be built as configured; the text says key or device and why."""


class App:
    """One daemon: built by `assemble`, run by `run`."""

    def __init__(
        self, config: Config, store: Store, saved: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._config = config
        self._store = store
        self._clock = Clock()
        self._notifier = Notifier()
        self._leave = asyncio.Event()  # wind up, then stop
        self._stop = asyncio.Event()
        self._outcome = Outcome.STOPPED
        self._started_mono = self._clock.now().mono
        self._bridge = build_bridge(config.evse, config.site.meter)
        buses = {
            evse.id: bus
            for evse in config.evse
            if (bus := self._bridge.vehicle_bus(evse.id)) is not None
        }
        self._vehicles = vehicles.build(config, buses, self._clock, self._judge)
        self._recorder = records.recorder(
            config, saved, store.kv.put, lambda now: self._plan.price(now)
        )
        self._read = ReadModel(
            (evse.id for evse in config.evse),
            over=self._recorder.decided if self._recorder else None,
        )
        station = OcppStation(config, saved, boot_reason(saved.get("app", {})))
        self._ocpp = OcppClient(
            config.ocpp,
            station,
            store.outbox,
            self._clock,
            signal=self._signal,
            request=self._request,
            save=self._save,
            workers=ocpp_workers(config, self._certificates_changed),
        )
        self._grid: list[GridDoor] = []
        self._cycle = self._heart(saved)
        self._plan = self._plan_door(saved)
        ports = GridPorts(
            self._signal,
            self._request,
            self._clock.now,
            store.kv.put,
            saved,
            self._plan.prices,
        )
        self._grid += grid.build(config, ports)
        self._outcomes: asyncio.Queue[Json] = asyncio.Queue(maxsize=64)
        self._supervisor = Supervisor(
            self._after_essential_failure,
            healthy=self._healthy,
            notifier=self._notifier,
        )
        self._listen_to_readers()
        why = self._vehicles.problem()
        if why:
            logger.error("v2g_certificates", why=why)
        self._request(FaultNotice(0, "SeccCertificateFault", bool(why), why))

    # -- building ----------------------------------------------------------------

    def _heart(self, saved: Mapping[str, Mapping[str, Any]]) -> Cycle:
        config, kept = self._config, self._recorder
        cycle = Cycle(
            config.evse,
            config.site,
            config.vehicle.promise,
            self._bridge,
            self._vehicles.by_evse,
            self._clock.now,
            reporters=(
                self._ocpp.report,
                self._read.report,
                self._report_to_grid,
                *((kept.report,) if kept else ()),
            ),
            ask=self._ocpp.ask,
            outcome=self._keep_outcome,
            certificate_service=lambda: self._ocpp.certificate_service,
            discharged=month.read(saved.get("scheduler", {}).get("month")),
            keep_month=self._keep_month,
            profiles=Profiles(config.vehicle.battery, config.vehicle.batteries),
            kept=saved,
            keep=lambda name, evse_id, value: self._store.kv.put(
                name, str(evse_id), value
            ),
        )
        cycle.on_reset = self._reset
        return cycle

    def _plan_door(self, saved: Mapping[str, Mapping[str, Any]]) -> PlanDoor:
        site = self._config.site
        return PlanDoor(
            site.plan,
            self._cycle.outlook,
            self._cycle.plan,
            self._clock.now,
            tariff=self._cycle.prices,
            reserves=partial(reserve.windows, site, self._cycle.zone),
            house=self._house_load(saved),
            judge=self._judge_prices(saved),
        )

    def _house_load(self, saved: Mapping[str, Mapping[str, Any]]) -> house.House | None:
        """What the site meter has taught; None where there is none, or by choice."""
        site = self._config.site
        if site.meter is None or not site.plan.learn_house:
            return None
        learnt = house.read(saved.get("scheduler", {}).get("house"))
        keep = partial(self._store.kv.put, "scheduler", "house")
        return house.House(self._cycle.zone, learnt, keep)

    def _judge_prices(
        self, saved: Mapping[str, Mapping[str, Any]]
    ) -> prices.Judge | None:
        """What past forecasts have taught; None by choice."""
        if not self._config.site.plan.judge_forecasts:
            return None
        kept = saved.get("scheduler", {}).get("prices")
        keep = partial(self._store.kv.put, "scheduler", "prices")
        return prices.Judge(self._cycle.zone, kept, keep)

    def _listen_to_readers(self) -> None:
        for evse in self._config.evse:
            reader = self._bridge.reader(evse.id)
            if reader is not None:
                reader.subscribe(partial(self._token_read, evse.id))

    def _token_read(self, evse_id: int, uid: str) -> None:
        self._request(TokenRead((evse_id,), Token(uid)))

    def _signal(self, dispatch: DispatchSignal) -> bool:
        """Refused signals are counted and logged by the cycle."""
        return self._cycle.signal(dispatch)

    def _report_to_grid(self, report: EvseReport) -> None:
        for door in self._grid:
            door.report(report)

    def _simulate(self, evse_id: int, dispatch: DispatchSignal) -> Decision:
        try:
            return self._cycle.simulate(evse_id, dispatch)
        except SchedulerError as error:
            raise LocalError(str(error)) from error

    def _request(self, request: Request) -> bool:
        """A full inbox is counted and logged by the cycle; nobody waits for it."""
        return self._cycle.request(request)

    def _children(self) -> list[Child]:
        local = self._config.local
        ports = Ports(
            read=self._read,
            now=self._clock.now,
            simulate=self._simulate,
            request=self._request,
            extra=self._extra,
            config=lambda: config_load.dump(self._config),
            sessions=self._store.sessions.last,
            signal=self._signal if local.dispatch else None,
            records=self._recorder.look if self._recorder else None,
            past=self._recorder.past if self._recorder else None,
            plans=self._plan.plans,
            people=self._ocpp.people if self._config.ocpp.url else None,
        )
        api = LocalApi(local, ports, on_login=self._login)
        children = [
            Child("bridge", self._bridge.run, Policy.ESSENTIAL),
            Child("cycle", self._cycle.run, Policy.ESSENTIAL),
            *(
                Child(f"vehicle{evse_id}", door.run)
                for evse_id, door in self._vehicles.by_evse.items()
            ),
            Child("outcomes", self._write_outcomes),
            Child("partners", self._watch_partners),
            Child("ocpp", self._ocpp.run),
            *(Child(f"grid.{door.name}", door.run) for door in self._grid),
            Child("local", api.run),
        ]
        if self._config.site.plan.enabled:
            children.append(Child("plan", self._plan.run))
        if self._recorder is not None:
            children.append(Child("records", self._recorder.run))
        if local.metrics:
            metrics = Metrics(local.metrics, self._read.status, self._extra)
            children.append(Child("metrics", metrics.run))
        return children

    # -- running -----------------------------------------------------------------

    async def run(self) -> Outcome:
        """Until SIGTERM, a reset or a failure that restarts could not mend."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._terminate)
        self._save_life(running=True)
        self._notifier.ready(f"station {self._config.station.id} runs")
        keep_the_loop_free()
        try:
            async with asyncio.TaskGroup() as group:
                leaving = group.create_task(self._wind_up())
                await self._supervisor.run(self._children(), self._stop)
                leaving.cancel()
        except* EssentialFailed as failed:
            logger.critical("gave_up", why=str(failed.exceptions[0]))
            self._outcome = Outcome.FAILED
        return self._outcome

    def _terminate(self) -> None:
        """A signal, also one that meets a reset under way: it counts."""
        self._outcome = Outcome.STOPPED
        self._leave.set()

    async def _wind_up(self) -> None:
        """A signal or a reset: ramp down, open in order, flush, let the children go."""
        await self._leave.wait()
        if self._outcome is Outcome.STOPPED:  # a reset is no stop to systemd
            self._notifier.stopping(SAFE_STOP_S)
        logger.info("stopping", outcome=self._outcome.value)
        self._cycle.safe_stop("the service is being stopped")
        for _ in range(round(SAFE_STOP_S / PERIOD_S)):
            if self._cycle.stopped():
                break
            await asyncio.sleep(PERIOD_S)
        else:
            logger.error("safe_stop_incomplete", waited_s=SAFE_STOP_S)
        await asyncio.sleep(2 * PERIOD_S)  # the last reports become messages
        await self._ocpp.flush(FLUSH_S)
        self._save_life(running=False)
        self._stop.set()

    def _reset(self, request: ResetRequest) -> None:
        """The cycle says: all sessions are over, start anew; not after a signal."""
        if self._leave.is_set():
            return
        logger.info("reset", immediate=request.immediate)
        self._outcome = Outcome.RESET
        self._store.kv.put("app", "reset", "immediate" if request.immediate else "idle")
        self._leave.set()

    async def _after_essential_failure(self, why: str) -> None:
        """No session goes on across a restart of bridge or cycle. The leases of the
        hardware are running out by themselves."""
        logger.warning("sessions_end", why=why)
        self._cycle.request(StopRequest(0, StopReason.OTHER))

    def _healthy(self) -> bool:
        """The loop runs (we are called), the heart beats: feed the watchdog."""
        return self._clock.now().mono - self._cycle.last_tick_mono < 1.0

    # -- small seams -------------------------------------------------------------

    def _save(self, save: Save) -> None:
        self._store.kv.put(save.namespace, save.key, save.value)

    def _keep_month(self, value: month.Month) -> None:
        self._store.kv.put("scheduler", "month", asdict(value))

    def _save_life(self, *, running: bool) -> None:
        """For the boot reason of the next start."""
        if running:
            self._store.kv.put("app", "reset", None)
        self._store.kv.put("app", "running", running)
        self._store.kv.put("app", "boot_id", boot_id())

    def _keep_outcome(self, outcome: SessionOutcome) -> None:
        record = {**asdict(outcome), "success": outcome.success}
        record["reason"] = outcome.reason.value
        for key in ("plugged_utc", "ended_utc"):
            record[key] = record[key].isoformat() if record[key] else None
        logger.info("session_over", **record)
        if not self._outcomes.full():
            self._outcomes.put_nowait(record)

    async def _write_outcomes(self) -> None:
        while True:
            await self._store.sessions.append(await self._outcomes.get())

    def _judge(
        self, chain: tuple[Revocable, ...], told: Callable[[bool], None]
    ) -> None:
        """Whether a vehicle's certificate is revoked, the central system knows."""
        self._ocpp.chain_status(chain, told)

    def _certificates_changed(self) -> None:
        """By OCPP: vehicles' next connections see it. The file work is a thread's."""
        asyncio.get_running_loop().run_in_executor(None, self._vehicles.reload)

    async def _watch_partners(self) -> None:
        """Faults of the station itself: no central system, no store, certificates."""
        seen_mono = self._clock.now().mono
        while True:
            if seen(self._config.station.clock_set_file):
                self._clock.trust()
            await asyncio.sleep(PARTNERS_S)
            now_mono = self._clock.now().mono
            if self._ocpp.up or not self._config.ocpp.url:
                seen_mono = now_mono
            away_s = now_mono - seen_mono
            lost = away_s >= CSMS_LOST_S
            why = f"no link for {away_s:.0f} s" if lost else ""
            self._request(FaultNotice(0, "CsmsLost", lost, why))
            fault = self._store.fault
            self._request(FaultNotice(0, "StoreFault", bool(fault), fault))
            why = self._vehicles.problem()
            self._request(FaultNotice(0, "SeccCertificateFault", bool(why), why))

    def _login(self, accepted: bool, uid: int) -> None:
        kind = "MaintenanceLoginAccepted" if accepted else "MaintenanceLoginFailed"
        who = f"{{'user': 'uid {uid}', 'origin': 'local socket'}}"
        self._ocpp.security_event(kind, who)

    def _extra(self) -> Json:
        """The station's own condition, for `chargerctl status` and metrics."""
        stats = self._cycle.stats
        return {
            "id": self._config.station.id,
            "version": __version__,
            "up_s": self._clock.now().mono - self._started_mono,
            "clock_trusted": self._clock.now().trusted,
            "ocpp_connected": self._ocpp.up,
            "ocpp_why": "" if self._ocpp.up else self._ocpp.why_down,
            "store_fault": self._store.fault,
            "records_fault": self._recorder.fault if self._recorder else "",
            "tick_late_ms": spread_ms(stats.late_s),
            "tick_took_ms": spread_ms(stats.took_s),
            "signal_ms": spread_ms(stats.answered_s),
            "ticks": stats.ticks,
            "overruns": stats.overruns,
            "restarts": self._supervisor.restarts,
            "degraded": sorted(self._supervisor.degraded),
            "grid": {door.name: door.status() for door in self._grid},
            "plan": self._plan.status(),
            "v2g": self._vehicles.margins(),
        }


def keep_the_loop_free() -> None:
    """Law 7 against the interpreter: a full collection over everything imported held
    the loop 15 to 39 ms, and a thread may keep it 5 ms where 1 ms does (measured)."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.001)


def spread_ms(values_s: Sequence[float]) -> Json:
    """Percentiles in milliseconds."""
    ordered = sorted(values_s) or [0.0]
    last = len(ordered) - 1
    found = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: ordered[int(share * last)] * 1e3 for name, share in found.items()}


def boot_reason(life: Mapping[str, Any]) -> str:
    """BootReasonEnumType from what the last run left behind."""
    if not life:
        return "PowerUp"
    if life.get("reset"):
        return "RemoteReset" if life["reset"] == "immediate" else "ScheduledReset"
    if life.get("boot_id") != boot_id():
        return "PowerUp"
    return "ApplicationReset" if life.get("running") else "LocalReset"


def unheard_ports() -> GridPorts:
    """For doors that are only built, to see whether they can be."""
    return GridPorts(
        signal=lambda signal: True,
        request=lambda request: True,
        now=Clock().now,
        save=lambda namespace, key, value: None,
        saved={},
        prices=lambda series: True,
    )


def problems(config: Config) -> list[str]:
    """What only the doors can see, for `check-config`: builds them, opens nothing."""
    builders: list[Callable[[], object]] = [
        *(partial(build_bridge, (evse,)) for evse in config.evse),
        partial(build_bridge, (), config.site.meter),
        partial(OcppStation, config, {}),
    ]
    found: list[str] = []
    for build in builders:
        try:
            build()
        except (BridgeError, OcppError) as error:
            found += str(error).splitlines()
    found += grid.problems(config, unheard_ports())
    found += filter(None, [vehicles.problem(config)])
    if not found:  # two devices on one line: only seen together
        try:
            build_bridge(config.evse, config.site.meter)
        except BridgeError as error:
            found.append(str(error))
    return found


async def _main(config: Config) -> Outcome:
    store = await Store.open(config.store.path)
    try:
        saved = await store.kv.load()
        try:
            app = App(config, store, saved)
        except (
            BridgeError,
            GridError,
            OcppError,
            SchedulerError,
            V2gError,
        ) as error:
            raise BuildError(str(error)) from error
        return await app.run()
    finally:
        await store.close()


def run_daemon(config: Config) -> Outcome:
    """Run in this thread until the end."""
    log.setup(config.log)
    logger.info(
        "starting",
        station=config.station.id,
        version=__version__,
        evses=len(config.evse),
    )
    return asyncio.run(_main(config))
