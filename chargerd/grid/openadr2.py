"""The OpenADR 2.0b VEN's core: what to say to the VTN next, what its answers mean.

Pure: answers, reports and times in; calls, signals and prices out. One call at a time.
Without a word from the VTN for `hold_s` nothing that it wanted goes on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from chargerd.clock import Now
from chargerd.config import Evse
from chargerd.config_grid import Openadr2
from chargerd.grid import openadr2_words as words
from chargerd.grid.openadr2_dispatch import Dispatch
from chargerd.grid.openadr2_events import Event, Events, Ready, Rules
from chargerd.grid.openadr2_opt import Opt
from chargerd.grid.openadr2_reports import Telemetry
from chargerd.grid.openadr2_words import Call, Json, Refused
from chargerd.grid.server_clock import ServerClock
from chargerd.grid.work import Kept, Work
from chargerd.model import EvseReport

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0  # after a failure, doubled each time
LOST_AFTER = 3  # failures in a row: the VTN may have forgotten us
MOST_WAITING = 64  # calls
MOST_AT_ONCE = 8  # polls in a row, while the VTN has more to say
REFRESH_S = 30.0  # signals are renewed so often
_FORGOTTEN = (str(words.INVALID_ID), str(words.NOT_REGISTERED))
_REQUESTS = ("register", "poll", "events")  # their failures count


class Ven:
    """Everything but the process that speaks XML and HTTP."""

    def __init__(
        self, config: Openadr2, evses: tuple[Evse, ...], saved: Mapping[str, Any]
    ) -> None:
        self._config = config
        names = config.resources or tuple(f"evse{evse.id}" for evse in evses)
        self._resources = dict(zip(names, (e.id for e in evses), strict=True))
        self.ven_id = config.ven_id or str(saved.get("ven_id", ""))
        self._registration = str(saved.get("registration_id", ""))
        self.registered = False
        self._offered = False  # our reports, and the VTN has heard it
        self.events = Events()
        self.telemetry = Telemetry(self._resources)
        self._dispatch = Dispatch(config, evses)
        self._reports: dict[int, EvseReport] = {}
        self._opt = Opt(self._dispatch, self._reports)
        self._waiting: deque[Call] = deque(maxlen=MOST_WAITING)
        self._poll_s = config.poll_s
        self._poll_mono = self._sync_mono = self._retry_mono = 0.0
        self._refresh_mono = 0.0
        self._at_once = self._failures = 0
        self._heard_mono: float | None = None
        self._clock = ServerClock()
        self._dirty = True
        self._kept = Kept(config.hold_s)
        self._saved: Mapping[str, Any] | None = saved
        self.refused: Counter[str] = Counter()

    # -- what to say -----------------------------------------------------------------

    @property
    def _rules(self) -> Rules:
        contexts = self._config.market_contexts
        return Rules(self.ven_id, contexts, self._resources)

    def next(self, now: Now) -> Call | None:
        """The call to make now, if any."""
        now = self._clock.told(now)
        if self._waiting and self._waiting[0].kind == "answer":
            return self._waiting.popleft()
        if now.mono < self._retry_mono:
            return None
        if not self.registered:
            config = self._config
            return words.register(
                config.ven_name, self.ven_id, self._registration, sign=config.sign
            )
        if self._waiting:
            return self._waiting.popleft()
        if now.mono >= self._sync_mono:
            self._sync_mono = now.mono + self._config.sync_s
            if not self._offered:
                self._say(self.telemetry.offer(self.ven_id, now))
            return words.request_events(self.ven_id)
        if now.mono >= self._poll_mono:
            self._poll_mono = now.mono + self._poll_s
            return words.poll(self.ven_id)
        return None

    # -- what it answers -------------------------------------------------------------

    def read(self, answer: Json) -> Ready:
        """The events in an answer. Changes nothing: it may take long, and runs beside
        the loop."""
        body = answer.get("body")
        raws = words.objects(body, "events") if isinstance(body, dict) else []
        return self.events.read(raws, self._rules)

    def answered(self, call: Call, answer: Json, ready: Ready, now: Now) -> None:
        """The answer to `call`, or {"error": word}; `ready` is what `read` found."""
        self._learn(answer, now)
        now = self._clock.told(now)
        error, body = answer.get("error"), answer.get("body")
        if error or not isinstance(body, dict):
            self._fail(call, str(error or "malformed"), now)
            return
        self._offered = self._offered or call.kind == "reports"
        code = str(body.get("code") or "200")
        if code != "200":
            self._rejected(call, code, now)
            return
        wanted = self._config.vtn_id
        if wanted and body.get("vtn_id") and body["vtn_id"] != wanted:
            self._fail(call, "another VTN", now)
            return
        self._heed(call, str(answer.get("type", "")), body, ready, now)

    def _heed(self, call: Call, kind: str, body: Json, ready: Ready, now: Now) -> None:
        if call.kind == "register":
            self._register(call, body, now)
            return
        if kind == "oadrRequestReregistration":
            self._forget("asked to", now)
            self._say(words.respond(self.ven_id, "EiRegisterParty", ""))
            return
        if call.kind in _REQUESTS:
            self._failures, self._heard_mono = 0, now.mono
        known = call.kind == "events"
        if kind == "oadrDistributeEvent" or (known and kind == "oadrResponse"):
            self._distribute(body, ready, now)
        if call.kind == "poll":
            self._polled(kind, body, now)
        if call.kind == "reports":
            self._say(self.telemetry.request(self.ven_id, body, now))
        if call.kind == "update":
            self._say(self.telemetry.cancel(self.ven_id, body))

    def _register(self, call: Call, body: Json, now: Now) -> None:
        ven_id, registration = body.get("ven_id"), body.get("registration_id")
        try:
            self.ven_id = words.identifier(body, "ven_id")
            self._registration = words.identifier(body, "registration_id")
            poll_s = words.seconds(body.get("poll"), self._config.poll_s)
        except Refused:
            refused = not ven_id or not registration
            self._fail(call, "not accepted" if refused else "malformed", now)
            return
        self.registered = True
        # Polled less often than a third of the hold, a command would end between two.
        self._poll_s = min(max(1.0, poll_s), self._config.hold_s / 3.0)
        self._sync_mono = self._poll_mono = now.mono
        self._waiting.clear()
        self._say(self.telemetry.offer(self.ven_id, now))
        self._offered, self._dirty = False, True

    def _polled(self, kind: str, body: Json, now: Now) -> None:
        """What the VTN had for us."""
        ven_id, request_id = self.ven_id, words.safe(body.get("request_id"))
        match kind:
            case "oadrCancelPartyRegistration":
                self._forget("cancelled", now)
                self._say(
                    words.cancelled_registration(ven_id, self._registration, request_id)
                )
                self._registration = ""
                self._retry_mono = now.mono + LONGEST_WAIT_S
                self._events_gone()
            case "oadrCreateReport":
                self._say(self.telemetry.request(ven_id, body, now))
            case "oadrCancelReport":
                self._say(self.telemetry.cancel(ven_id, body))
            case "oadrRegisterReport":
                self._say(words.no_reports(ven_id, request_id))
        self._at_once = 0 if kind in ("oadrResponse", "") else self._at_once + 1
        if 0 < self._at_once < MOST_AT_ONCE:
            self._poll_mono = now.mono

    def _distribute(self, body: Json, ready: Ready, now: Now) -> None:
        answers = self.events.distribute(ready, lambda e: self._opt.able(e, now))
        if answers:
            request_id = words.safe(body.get("request_id"))
            self._say(words.created_event(self.ven_id, request_id, answers))
        self._dirty = True

    def _events_gone(self) -> None:
        self.events.distribute([], lambda _: True)
        self._dirty = True

    def _say(self, call: Call | None) -> None:
        if call is not None:
            self._waiting.append(call)

    # -- when it goes wrong ----------------------------------------------------------

    def _rejected(self, call: Call, code: str, now: Now) -> None:
        if call.kind == "register":  # perhaps it is the old registration that is wrong
            self._registration = ""
            self.ven_id = self._config.ven_id
        if code in _FORGOTTEN and call.kind in _REQUESTS and self.registered:
            self._forget("forgotten", now)
        else:
            self._fail(call, f"code {code[:3]}", now)

    def _forget(self, why: str, now: Now) -> None:
        """Register anew. What was to be said before that is not said."""
        self.refused[f"registration {why}"] += 1
        self.registered = False
        self._waiting.clear()
        self._wait(now)

    def _fail(self, call: Call, why: str, now: Now) -> None:
        self.refused[why] += 1
        if call.kind not in _REQUESTS:
            return
        if self.registered and self._failures + 1 >= LOST_AFTER:
            self._forget("lost", now)
        else:
            self._wait(now)

    def _wait(self, now: Now) -> None:
        """Longer each time, until an answer is as it should be."""
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._failures, 8))
        self._failures += 1
        self._retry_mono = now.mono + wait_s
        self._poll_mono = now.mono

    # -- time ------------------------------------------------------------------------

    def _learn(self, answer: Json, now: Now) -> None:
        if now.trusted or not answer.get("date"):
            return
        try:
            utc = words.utc(answer["date"])
        except Refused:
            return
        if self._clock.learn(utc, now):
            self._dirty = True

    # -- what follows from it --------------------------------------------------------

    def report(self, report: EvseReport) -> None:
        """Keeps the newest."""
        self._reports[report.snapshot.evse_id] = report

    def tick(self, now: Now) -> Callable[[], Work] | None:
        """A few times a second: what to call beside the loop, one at a time; its work
        comes back to `reckoned`."""
        now = self._clock.told(now)
        if self._saved is not None and now.trusted:
            self._restore(self._saved, now)
            self._saved = None
        if self.registered:
            for call in self.telemetry.tick(self.ven_id, self._reports, now):
                self._say(call)
            for event in self._opt.leaves(self.events.alive, now):
                self._leave(event, now)
        due = self._dirty or now.mono >= self._refresh_mono
        if not now.trusted or not due:
            return None
        prices, self._dirty = self._dirty, False
        self._refresh_mono = now.mono + REFRESH_S
        alive = list(self.events.alive.values())
        until_mono = (self._heard_mono or 0.0) + self._config.hold_s
        reports = dict(self._reports)
        reckon = self._dispatch.reckon
        return partial(reckon, alive, until_mono, reports, now, prices=prices)

    def reckoned(self, work: Work, now: Now) -> Work:
        """With what is to be kept."""
        work.save = self._save(self._clock.told(now))
        return work

    def _leave(self, event: Event, now: Now) -> None:
        """Opts out: vehicles' own needs stand above it."""
        self.events.opt_out(event.id)
        self.refused["opted out"] += 1
        names = [n for n, i in self._resources.items() if i in event.evse_ids]
        stamp = now.utc.isoformat()
        self._say(
            words.opt_out(self.ven_id, event.id, event.modification, names, stamp)
        )
        self._dirty = True

    # -- over restarts ---------------------------------------------------------------

    def _save(self, now: Now) -> Json | None:
        events = self.events.save()
        state = {
            "ven_id": self.ven_id,
            "registration_id": self._registration,
            "events": events,
        }
        return self._kept.changed(state, self._heard_mono if events else None, now)

    def _restore(self, saved: Mapping[str, Any], now: Now) -> None:
        """Events of the last run, for what is left of their hold; the VTN's next list
        confirms or ends them."""
        if not saved.get("heard_utc") or self._heard_mono is not None:
            return
        try:
            heard_mono = now.mono_at(words.utc(saved["heard_utc"]))
        except Refused:
            return
        self.events.load(words.objects(saved, "events"), self._rules)
        self._heard_mono = min(now.mono, heard_mono)

    def status(self) -> dict[str, Any]:
        """For people."""
        events = self.events
        return {
            "registered": self.registered,
            "ven_id": self.ven_id,
            "poll_s": self._poll_s,
            "failures": self._failures,
            "events": {e.id: _words(e) for e in events.alive.values()},
            "accepted": events.accepted,
            "cancelled": dict(events.cancelled),
            "reports": self.telemetry.sent,
            "refused": dict(self.refused + events.refused + self.telemetry.refused),
        }


def _words(event: Event) -> str:
    opt = "followed" if event.followed else "test" if event.opt_in else "opted out"
    names = ", ".join(f"{s.name} {s.type}" for s in event.signals)
    return f"{opt}: {names or event.code}"
