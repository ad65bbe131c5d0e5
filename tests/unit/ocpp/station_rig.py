"""A station on a fake clock; all that goes out is checked against the schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

from jsonschema_rs import Draft6Validator

from chargerd.clock import Now
from chargerd.config import Config
from chargerd.model import (
    ActiveFault,
    Decision,
    DispatchSignal,
    EvseReport,
    OperationMode,
    Session,
    SessionPhase,
    SiteState,
    Snapshot,
    StopReason,
    Token,
    VehicleState,
)
from chargerd.ocpp.effects import (
    Answer,
    Ask,
    CallError,
    Dispatch,
    Effect,
    Later,
    OcppError,
    Payload,
    Reply,
    Save,
    Send,
    StopWork,
    Work,
)
from chargerd.ocpp.jobs.certificates import Held, Inventory, ReadCertificates
from chargerd.ocpp.jobs.security_log import LogEvent
from chargerd.ocpp.station import OcppStation
from firmware_bridge.api import MeterReading, Reading, Telemetry

START = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
CARD = Token("04A1B2C3", "ISO14443")
V21, V201 = "ocpp2.1", "ocpp2.0.1"
FOLDERS = {V21: "v21", V201: "v201"}

DEVICE = {"driver": "x", "at": "serial:/dev/null"}
EVSE = {
    "charge_w": 6000,
    "discharge_w": 6000,
    "devices": {"pilot": DEVICE, "stage": DEVICE, "meter": DEVICE, "chademo": DEVICE},
}


@cache
def validator(version: str, name: str, *, formats: bool = True) -> Draft6Validator:
    """`formats` is off for what tests say: they say wrong ones, too."""
    folder = resources.files("ocpp") / FOLDERS[version] / "schemas"
    text = (folder / f"{name}.json").read_text(encoding="utf-8-sig")
    return Draft6Validator(json.loads(text), validate_formats=formats)


def config(
    *,
    evses: int = 1,
    evse: Mapping[str, Any] | None = None,
    station: str = "CP1",
    vehicle: Mapping[str, Any] | None = None,
    **ocpp: Any,
) -> Config:
    rows = [{"id": n + 1, **EVSE, **(evse or {})} for n in range(evses)]
    return Config.model_validate(
        {
            "station": {"id": station},
            "evse": rows,
            "vehicle": vehicle or {},
            "ocpp": ocpp,
        }
    )


def report(
    now: Now,
    phase: SessionPhase = SessionPhase.IDLE,
    *,
    evse_id: int = 1,
    authorised: bool = False,
    token: Token | None = None,
    stop_token: Token | None = None,
    stop: StopReason | None = None,
    remote_start_id: int | None = None,
    session_id: str = "s1",
    mode: OperationMode = OperationMode.CHARGING_ONLY,
    power_w: float = 0.0,
    wanted_w: float | None = None,
    import_wh: float = 1000.0,
    export_wh: float = 500.0,
    soc: float | None = 60.0,
    faults: tuple[ActiveFault, ...] = (),
    operative: bool = True,
    meter: bool = True,
    signals: tuple[DispatchSignal, ...] = (),
    vehicle: VehicleState | None = None,
    telemetry: Telemetry | None = None,
    kept: bool = False,
    leapt_wh: tuple[float, float] = (0.0, 0.0),
) -> EvseReport:
    reading = MeterReading(
        power_w, import_wh, export_wh, 50.0, (230.0,), (power_w / 230.0,)
    )
    session = Session(
        evse_id,
        phase=phase,
        id=session_id if kept or phase is not SessionPhase.IDLE else "",
        token=token or (CARD if authorised else None),
        stop_token=stop_token,
        authorised=authorised,
        stop_reason=stop,
        remote_start_id=remote_start_id,
    )
    measured = Reading(reading, now.mono) if meter else None
    telemetry = telemetry or Telemetry(meter=measured)
    snapshot = Snapshot(
        now,
        evse_id,
        telemetry,
        vehicle or VehicleState(soc_pct=soc),
        session,
        SiteState(10_000.0, -6000.0, True),
        signals=signals,
        faults=faults,
        operative=operative,
        leapt_wh=leapt_wh,
    )
    decision = Decision(
        evse_id,
        now.mono,
        now.mono + 0.3,
        power_w,
        power_w if wanted_w is None else wanted_w,
        -6000.0,
        6000.0,
        mode,
        "plan",
    )
    return EvseReport(snapshot, decision)


class Rig:
    """Plays shell, heart and CSMS for one `OcppStation`."""

    def __init__(
        self,
        conf: Config | None = None,
        saved: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        version: str = V21,
        boot_reason: str = "PowerUp",
        mono: float = 1000.0,
        utc: datetime = START,
    ) -> None:
        self.conf = conf or config()
        self.saved: dict[str, dict[str, Any]] = {
            k: dict(v) for k, v in (saved or {}).items()
        }
        self.station = OcppStation(self.conf, self.saved, boot_reason)
        self.version = version
        self.now = Now(mono, utc)
        self.sent: list[Send] = []
        self.effects: list[Effect] = []
        self.works: dict[int, Any] = {}  # handle -> task that runs
        self.log: list[str] = []  # the security log
        self.inventory = Inventory()  # the certificates that are here
        self._last: dict[int, dict[str, Any]] = {}

    # Time and effects.

    def pass_s(self, seconds: float) -> None:
        """Let time pass, firing each timer on time."""
        end = self.now.mono + seconds
        for _ in range(10_000):
            due = self.station.next_timer()
            if due is None or due > end:
                break
            self._at(max(due, self.now.mono))
            self.station.on_timer(self.now)
            self.drain()
        else:
            raise AssertionError("the station's timers never rest")
        self._at(end)

    def _at(self, mono: float) -> None:
        step = timedelta(seconds=mono - self.now.mono)
        self.now = Now(mono, self.now.utc + step, self.now.trusted)

    def drain(self) -> list[Effect]:
        effects = self.station.to_send()
        for effect in effects:
            if isinstance(effect, Send):
                validator(self.version, f"{effect.action}Request").validate(
                    effect.payload
                )
                json.dumps(effect.payload, allow_nan=False)
                self.sent.append(effect)
                if effect.save is not None:
                    self._save(effect.save)
            if isinstance(effect, Work):
                self._work(effect)
            if isinstance(effect, StopWork):
                del self.works[effect.handle]
            if isinstance(effect, Save):
                self._save(effect)
        self.effects += effects
        return effects

    def _work(self, effect: Work) -> None:
        if isinstance(effect.task, LogEvent):
            self.log.append(effect.task.line)
        elif isinstance(effect.task, ReadCertificates):
            self.station.worked(effect.handle, self.inventory, self.now)
            self.station.work_over(effect.handle)
            self.drain()
        else:
            self.works[effect.handle] = effect.task

    def _save(self, save: Save) -> None:
        space = self.saved.setdefault(save.namespace, {})
        if save.value is None:
            space.pop(save.key, None)
        else:
            space[save.key] = json.loads(json.dumps(save.value, allow_nan=False))

    def restarted(self, *, boot_reason: str = "PowerUp", after_s: float = 60) -> Rig:
        """A new daemon on the same disk."""
        return Rig(
            self.conf,
            self.saved,
            version=self.version,
            boot_reason=boot_reason,
            mono=5.0,
            utc=self.now.utc + timedelta(seconds=after_s),
        )

    # The works beside the loop.

    def hold(self, *held: Held) -> None:
        """These certificates are here, and the station has seen them."""
        self.inventory = Inventory(held)
        self.call_later("GetInstalledCertificateIds")

    def worked(self, kind: type, value: Any) -> None:
        """The only running work of this kind yields `value`."""
        (handle,) = [h for h, task in self.works.items() if isinstance(task, kind)]
        self.station.worked(handle, value, self.now)
        if isinstance(value, OcppError):
            self.over(handle)
        self.drain()

    def finished(self, kind: type, value: Any) -> None:
        """The only running work of this kind yields `value`, its last one."""
        (handle,) = [h for h, task in self.works.items() if isinstance(task, kind)]
        self.station.worked(handle, value, self.now)
        self.drain()
        if handle in self.works:  # else it was stopped for what it said
            self.over(handle)

    def over(self, handle: int) -> None:
        del self.works[handle]
        self.station.work_over(handle)

    # The CSMS.

    def link(self, up: bool = True) -> None:
        self.station.link(up, self.version, self.now)
        self.drain()

    def _judge(self, name: str, ours: Payload) -> None:
        """What a test is about to say."""
        validator(self.version, name, formats=False).validate(ours)

    def call(self, action: str, payload: Payload | None = None) -> Answer:
        request = payload or {}
        self._judge(f"{action}Request", request)
        answer = self.station.call(action, request, self.now)
        assert not isinstance(answer, Later), "use call_later"
        if isinstance(answer, dict):
            validator(self.version, f"{action}Response").validate(answer)
        self.drain()
        return answer

    def call_later(self, action: str, payload: Payload | None = None) -> Later:
        """A CALL whose answer needs a job first; `replied` has it then."""
        request = payload or {}
        self._judge(f"{action}Request", request)
        promised = self.station.call(action, request, self.now)
        assert isinstance(promised, Later), promised
        self.drain()
        return promised

    def replied(self, promised: Later) -> Answer:
        """The one answer to that CALL."""
        (reply,) = [
            effect
            for effect in self.effects
            if isinstance(effect, Reply) and effect.handle == promised.handle
        ]
        if isinstance(reply.answer, dict):
            name = f"{promised.action}Response"
            validator(self.version, name).validate(reply.answer)
        return reply.answer

    def answer(self, send: Send, answer: Answer) -> None:
        if not isinstance(answer, CallError):
            self._judge(f"{send.action}Response", answer)
        self.station.result(send.handle, send.action, send.payload, answer, self.now)
        self.drain()

    def boot(self, status: str = "Accepted", interval: int = 300) -> Rig:
        """Link up and answer the BootNotification."""
        self.link()
        self.answer(
            self.last("BootNotification"),
            {"currentTime": self.time(), "interval": interval, "status": status},
        )
        return self

    def time(self) -> str:
        return self.now.utc.isoformat()

    # The heart.

    def observe(
        self, phase: SessionPhase = SessionPhase.IDLE, **more: Any
    ) -> EvseReport:
        made = report(self.now, phase, **more)
        self.station.observe(made, self.now)
        self.drain()
        self._last[made.snapshot.evse_id] = {"phase": phase, **more}
        return made

    def run_s(self, seconds: float, step_s: float = 0.5, **more: Any) -> None:
        """Repeat the last report of each EVSE, as the heart does."""
        for _ in range(round(seconds / step_s)):
            self.pass_s(step_s)
            for kept in list(self._last.values()):
                self.observe(**{**kept, **more})

    # What came out.

    def last(self, action: str) -> Send:
        return [send for send in self.sent if send.action == action][-1]

    def payloads(self, action: str) -> list[Payload]:
        return [send.payload for send in self.sent if send.action == action]

    def events(self) -> list[Payload]:
        return self.payloads("TransactionEvent")

    def asked(self) -> list[Any]:
        return [e.request for e in self.effects if isinstance(e, Ask)]

    def signals(self) -> list[Any]:
        return [e.signal for e in self.effects if isinstance(e, Dispatch)]

    def signal(self, source: str, evse_id: int = 1) -> Any:
        """The newest signal of a source that still lives, else None."""
        for signal in reversed(self.signals()):
            if (signal.source, signal.evse_id) == (source, evse_id):
                return signal if signal.valid_until_mono > self.now.mono else None
        return None

    def clear(self) -> None:
        self.sent.clear()
        self.effects.clear()
