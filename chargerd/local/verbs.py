"""The local API's verbs: one checked question in, one plain answer out.

Owns the bounds of every argument and turns questions into neutral values (requests,
signals). Does no I/O; what it needs is injected as `Ports`. Input is hostile.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from chargerd.clock import Now
from chargerd.local.people import People, PeopleVerbs
from chargerd.local.read_model import Json, ReadModel
from chargerd.local.values import LocalError, number, text
from chargerd.model import (
    Decision,
    DispatchSignal,
    IslandRequest,
    OperationMode,
    Priority,
    PromiseRequest,
    Request,
    ResetRequest,
    Segment,
    StartRequest,
    StopReason,
    StopRequest,
    Token,
)
from chargerd.plan import Plan
from chargerd.records.decisions import decision
from chargerd.records.errors import RecordsError

MAX_POWER_W = 2_000_000.0
MAX_DISPATCH_S = 86_400.0
MAX_PROMISE_S = 7 * 86_400.0
MAX_LAST = 200
TOKEN_KINDS = (  # OCPP 2.1 IdTokenEnumType
    "Central", "DirectPayment", "eMAID", "EVCCID", "ISO14443", "ISO15693", "KeyCode",
    "Local", "MacAddress", "NoAuthorization", "VIN",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ports:
    """What the daemon gives the local API. `signal` None = no local dispatch; it and
    `request` say whether the heart took what they gave.

    `records`: writes what waits, then its status. `past`: the decision of an EVSE at a
    time that is on the disk alone. Both None = no records are kept.
    """

    read: ReadModel
    now: Callable[[], Now]
    simulate: Callable[[int, DispatchSignal], Decision]
    request: Callable[[Request], bool]
    extra: Callable[[], Json]
    config: Callable[[], Json]
    sessions: Callable[[int], Awaitable[list[Json]]]
    signal: Callable[[DispatchSignal], bool] | None = None
    records: Callable[[], Awaitable[Json]] | None = None
    past: Callable[[int, datetime], Awaitable[Json | None]] | None = None
    plans: Callable[[], tuple[Plan, ...]] = tuple
    people: People | None = None  # None = no central system


class Verbs:
    """`await answer(question)`; raises LocalError with what to do."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._table: dict[str, Callable[[Json], Awaitable[Json]]] = {
            "ping": self._ping,
            "status": self._status,
            "why": self._why,
            "flex": self._flex,
            "grid": self._grid,
            "plan": self._plan,
            "records": self._records,
            "session": self._session,
            "faults": self._faults,
            "meter": self._meter,
            "config": self._config,
            "simulate": self._simulate,
            "dispatch": self._dispatch,
            "promise": self._promise,
            "promised": self._promised,
            "start": self._start,
            "stop": self._stop,
            "reset": self._reset,
            "island": self._island,
            "help": self._help,
            **PeopleVerbs(ports.people, self._evse).table(),
        }

    async def answer(self, question: Json) -> Json:
        verb = question.get("verb")
        handler = self._table.get(verb) if isinstance(verb, str) else None
        if handler is None:
            raise LocalError(f"unknown verb; known: {', '.join(self._table)}, watch")
        return await handler(question)

    async def _ping(self, question: Json) -> Json:
        return {"pong": True}

    async def _help(self, question: Json) -> Json:
        return {"verbs": [*self._table, "watch"]}

    async def _status(self, question: Json) -> Json:
        return {"evses": self._ports.read.status(), "station": self._ports.extra()}

    async def _why(self, question: Json) -> Json:
        if question.get("at") is not None:
            return await self._why_at(question)
        last = int(number(question, "last", 1, MAX_LAST, 20))
        ids = self._evses(question)
        return {"evses": [self._ports.read.why(evse_id, last) for evse_id in ids]}

    async def _why_at(self, question: Json) -> Json:
        """What was decided at a time, from memory or from the disk."""
        utc = _time(question, "at")
        if utc > self._ports.now().utc:
            raise LocalError("at: is in the future")
        evses = []
        for evse_id in self._evses(question):
            then = self._ports.read.why_at(evse_id, utc)
            if then is None and self._ports.past is not None:
                try:
                    then = await self._ports.past(evse_id, utc)
                except RecordsError as error:
                    raise LocalError(str(error)) from error
            evses.append({"evse_id": evse_id, "then": then})
        return {"at_utc": utc.isoformat(timespec="milliseconds"), "evses": evses}

    async def _flex(self, question: Json) -> Json:
        return {"evses": [self._ports.read.flex(i) for i in self._evses(question)]}

    async def _grid(self, question: Json) -> Json:
        return {
            "doors": self._ports.extra().get("grid", {}),
            "evses": [self._ports.read.signals(i) for i in self._evses(question)],
        }

    async def _plan(self, question: Json) -> Json:
        """What is planned, from now on."""
        ids, now = self._evses(question), self._ports.now()
        plans = [_plan(p, now) for p in self._ports.plans() if p.evse_id in ids]
        return {"plans": plans, "planner": self._ports.extra().get("plan", {})}

    async def _records(self, question: Json) -> Json:
        if self._ports.records is None:
            raise LocalError("no records are kept; [records] enabled = true keeps them")
        try:
            return await self._ports.records()
        except RecordsError as error:
            raise LocalError(str(error)) from error

    async def _session(self, question: Json) -> Json:
        last = int(number(question, "last", 0, MAX_LAST, 5))
        current = [self._ports.read.session(i) for i in self._evses(question)]
        return {"current": current, "finished": await self._ports.sessions(last)}

    async def _faults(self, question: Json) -> Json:
        last = int(number(question, "last", 0, MAX_LAST, 20))
        return self._ports.read.faults(last)

    async def _meter(self, question: Json) -> Json:
        read = self._ports.read
        evses = [read.meter(evse_id) for evse_id in self._evses(question)]
        return {"evses": evses, "site": read.connection()}

    async def _config(self, question: Json) -> Json:
        return {"config": self._ports.config()}

    async def _simulate(self, question: Json) -> Json:
        """What would be decided, and why; nothing moves."""
        signal = self._signal(question)
        found = self._ports.simulate(signal.evse_id, signal)
        return {"decision": decision(found)}

    async def _dispatch(self, question: Json) -> Json:
        if self._ports.signal is None:
            raise LocalError(
                "local dispatch is not allowed on this station; "
                "[local] dispatch = true in its configuration allows it"
            )
        signal = self._signal(question)
        found = self._ports.simulate(signal.evse_id, signal)
        _taken(self._ports.signal(signal))
        return {"accepted": True, "decision": decision(found)}

    async def _promise(self, question: Json) -> Json:
        evse_id = self._evse(question)
        if question.get("clear") is True:
            return self._request(PromiseRequest(evse_id, None))
        if self._ports.read.session(evse_id)["phase"] == "idle":
            raise LocalError(
                f"no vehicle at EVSE {evse_id}: plug it in first; "
                "[vehicle.promise] holds the wish of every day"
            )
        seconds = number(question, "seconds", 1, MAX_PROMISE_S)
        floor = question.get("floor")
        return self._request(
            PromiseRequest(
                evse_id,
                self._ports.now().mono + seconds,
                number(question, "soc", 0, 100),
                None if floor is None else number(question, "floor", 0, 100),
            )
        )

    async def _promised(self, question: Json) -> Json:
        """How it stands, and by when charging must begin."""
        ids = self._evses(question)
        return {"evses": [self._ports.read.promised(evse_id) for evse_id in ids]}

    async def _start(self, question: Json) -> Json:
        kind = text(question, "kind", 20, "Local")
        if kind not in TOKEN_KINDS:
            raise LocalError(f"kind: {kind!r}; known: {', '.join(TOKEN_KINDS)}")
        token = Token(text(question, "token", 36), kind)
        return self._request(
            StartRequest(self._evse(question), token, authorised=False)
        )

    async def _stop(self, question: Json) -> Json:
        return self._request(StopRequest(self._evse(question), StopReason.LOCAL))

    async def _reset(self, question: Json) -> Json:
        """Restart the daemon, or one EVSE without it: when no session runs, or at once,
        ramping down."""
        now = question.get("immediate") is True
        evse_id = 0 if question.get("evse") is None else self._evse(question)
        return self._request(ResetRequest(evse_id, immediate=now))

    async def _island(self, question: Json) -> Json:
        """In a blackout: feed the house, where that does not begin by itself."""
        if self._ports.config()["site"]["blackout"] is None:
            raise LocalError(
                "this station feeds no house in a blackout; [site.blackout] in its "
                "configuration allows it"
            )
        return self._request(IslandRequest())

    def _request(self, request: Request) -> Json:
        _taken(self._ports.request(request))
        return {"accepted": True}

    def _signal(self, question: Json) -> DispatchSignal:
        """A setpoint as a lease; positive = into the vehicle."""
        now = self._ports.now().mono
        name = question.get("mode", OperationMode.CENTRAL_SETPOINT.value)
        try:
            mode = OperationMode(name)
        except ValueError:
            known = ", ".join(m.value for m in OperationMode)
            raise LocalError(f"mode: {name!r} is unknown; known: {known}") from None
        power_w = number(question, "power_w", -MAX_POWER_W, MAX_POWER_W)
        seconds = number(question, "seconds", 0.1, MAX_DISPATCH_S, 60.0)
        return DispatchSignal(
            source="cli",
            evse_id=self._evse(question),
            priority=Priority.LOCAL,
            segments=(Segment(now, mode, setpoint_w=power_w),),
            received_mono=now,
            valid_until_mono=now + seconds,
        )

    def _evse(self, question: Json) -> int:
        """The EVSE asked for; may be left out where there is only one."""
        ids = self._ports.read.evse_ids
        if "evse" not in question and len(ids) == 1:
            return ids[0]
        value = question.get("evse")
        if isinstance(value, bool) or not isinstance(value, int) or value not in ids:
            known = ", ".join(str(i) for i in ids)
            wrong = "say which EVSE" if value is None else f"there is no {value!r:.20}"
            raise LocalError(f"evse: {wrong}; known: {known}")
        return value

    def _evses(self, question: Json) -> tuple[int, ...]:
        if question.get("evse") is None:
            return self._ports.read.evse_ids
        return (self._evse(question),)


def _taken(by_heart: bool) -> None:
    if not by_heart:
        raise LocalError("not taken: the daemon has too much to do; see its log")


def _plan(plan: Plan, now: Now) -> Json:
    """Parts that are over are left out."""
    ends = [part.start_mono for part in plan.parts[1:]] + [math.inf]
    parts = [
        {
            "start_utc": now.utc_at(part.start_mono).isoformat(timespec="seconds"),
            "wish_w": part.wish_w,
            "low_w": part.low_w,
            "high_w": part.high_w,
            "low_wh": part.low_wh,
            "high_wh": part.high_wh,
            "end_wh": part.end_wh,
            "reserve_up_w": part.up_w,
            "reserve_down_w": part.down_w,
            "note": part.note,
        }
        for part, end_mono in zip(plan.parts, ends, strict=True)
        if end_mono > now.mono
    ]
    return {
        "evse_id": plan.evse_id,
        "solver": plan.solver,
        "age_s": now.mono - plan.made_mono,
        "valid": plan.at(now.mono) is not None,
        "cost": plan.cost,
        "currency": plan.currency,
        "parts": parts,
    }


def _time(question: Json, key: str) -> datetime:
    """ISO 8601 with its offset from UTC."""
    written = text(question, key, 40)
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise LocalError(f"{key}: {written!r}: write e.g. 2026-11-25T07:30:00+09:00")
    return found.astimezone(UTC)
