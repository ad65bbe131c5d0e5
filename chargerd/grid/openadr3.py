"""The OpenADR 3 VEN's core: what to ask the VTN next, what its answers mean.

Pure: answers, reports and times in; calls, signals and prices out. One call at a time.
Without a word from the VTN for `hold_s` no wish of its goes on; its caps hold.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from chargerd.clock import Now
from chargerd.config import Evse
from chargerd.config_grid_servers import LOOPBACK, Openadr3
from chargerd.grid import openadr3_words as words
from chargerd.grid.openadr3_calls import PAGE, Call, Calls
from chargerd.grid.openadr3_dispatch import Dispatch
from chargerd.grid.openadr3_events import MOST_EVENTS, Events, Listing
from chargerd.grid.openadr3_membership import KINDS, Membership
from chargerd.grid.openadr3_read import ALERTS, Event, horizon
from chargerd.grid.openadr3_reports import Reports
from chargerd.grid.openadr3_words import Json, Refused
from chargerd.grid.server_clock import ServerClock
from chargerd.grid.work import Kept, Work
from chargerd.model import EvseReport

FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0  # after a failure, doubled each time
REFRESH_S = 15.0  # signals are renewed so often
REPORTS_S = 1.0
TOKEN_S = 3600.0  # where the server does not say how long it is good
MOST_WAITING = 32  # reports


class Ven:
    """Everything but HTTP."""

    def __init__(
        self, config: Openadr3, evses: tuple[Evse, ...], saved: Mapping[str, Any]
    ) -> None:
        self._config = config
        self._calls = Calls(config)
        self.membership = Membership(config, evses, self._calls)
        self.events = Events()
        names = self.membership.resources
        self._reporting = Reports(
            config.ven_name, names, config.report_s, config.version
        )
        self._dispatch = Dispatch(config, evses)
        self._reports: dict[int, EvseReport] = {}
        self._waiting: deque[Json] = deque(maxlen=MOST_WAITING)
        self._token_url = config.token_url
        self._token_mono = -1.0  # when it must be renewed
        self._poll_mono = self._retry_mono = 0.0
        self._refresh_mono = self._report_mono = 0.0
        self._rows: list[Json] = []  # of a list that comes in pages
        self._listed: list[Json] | None = None  # a whole one, not judged yet
        self._failures = 0
        self._heard_mono: float | None = None
        self._clock = ServerClock()
        self._dirty = True
        self._kept = Kept(config.hold_s)
        self._saved: Mapping[str, Any] | None = saved
        self.refused: Counter[str] = Counter()
        self.sent = 0

    # -- what to ask -----------------------------------------------------------------

    def next(self, now: Now) -> Call | None:
        """The call to make now, if any."""
        if now.mono < self._retry_mono:
            return None
        if self._config.client_id and now.mono >= self._token_mono:
            if not self._token_url:
                return self._calls.auth_server()
            return self._calls.ask_token(self._token_url)
        asked = self.membership.next(now.mono)
        if asked is not None:
            return asked
        if now.mono >= self._poll_mono or self._rows:
            return self._calls.events(len(self._rows))
        if self._waiting:
            return self._calls.report(self._waiting[0])
        return None

    # -- what is answered ------------------------------------------------------------

    def failed(self, call: Call, reason: str, now: Now) -> None:
        """No answer at all, or one that cannot be read."""
        self.refused[reason] += 1
        if call.kind in KINDS and reason in ("size", "malformed"):
            self.membership.leave(now.mono)  # or events would never be asked for
        self._wait(call, now)

    def answered(
        self, call: Call, status: int, body: Any, date: datetime | None, now: Now
    ) -> None:
        """`body` is parsed JSON, or a Refused where it was none."""
        if date is not None and self._clock.learn(date, now):
            self._dirty = True
        now = self._clock.told(now)
        if status == 401 and call.kind != "token":
            self._token_mono = -1.0
        if status >= 300:
            self.refused[f"{call.kind} {status}"] += 1
        if call.kind in KINDS and status not in (401, 429):
            self._joined(call, status, body, now)
            return
        if status >= 300:
            if call.kind == "report" and 400 <= status < 500 and status != 401:
                self._waiting.popleft()  # it will not be better the next time
            self._wait(call, now)
            return
        try:
            if isinstance(body, Refused):
                raise body
            self._heed(call, body, now)
        except Refused as refused:
            self.refused[refused.reason] += 1
            self._wait(call, now)
            return
        self._failures = 0

    def _joined(self, call: Call, status: int, body: Any, now: Now) -> None:
        try:
            if isinstance(body, Refused):
                raise body
            self.membership.answered(call, status, body, now.mono)
        except Refused as refused:
            self.refused[refused.reason] += 1
            self.membership.leave(now.mono)
        self._poll_mono = min(self._poll_mono, now.mono)  # what it knows may count

    def _heed(self, call: Call, body: Any, now: Now) -> None:
        match call.kind:
            case "auth":
                told = words.table({"answer": body}, "answer")
                self._token_url = self._safe_url(words.text(told, "tokenURL", 2000))
            case "token":
                self._take_token(words.table({"answer": body}, "answer"), now)
            case "events":
                self._take_events(words.listed(body, PAGE), now)
            case "report":
                self._waiting.popleft()
                self.sent += 1

    def _safe_url(self, url: str) -> str:
        """Our secret goes there: not without TLS."""
        with suppress(ValueError):  # no URL at all
            parts = urlsplit(url)
            plain_allowed = self._config.insecure or parts.hostname in LOOPBACK
            if parts.scheme == "https" or (parts.scheme == "http" and plain_allowed):
                return url
        raise Refused("token url", "the token's URL is not https")

    def _take_token(self, body: Json, now: Now) -> None:
        token = words.text(body, "access_token", 8192)
        if not token or not token.isascii() or not token.isprintable():
            words.malformed("access_token is none")
        good_s = max(10.0, float(words.whole(body, "expires_in", int(TOKEN_S))))
        self._calls.token = token
        self._token_mono = now.mono + 0.8 * good_s

    def _take_events(self, rows: list[Json], now: Now) -> None:
        """A page; the last one makes the list whole."""
        self._rows += rows
        if len(rows) == PAGE and len(self._rows) <= MOST_EVENTS:
            return
        listed, self._rows = self._rows, []
        self._poll_mono = now.mono + self._config.poll_s
        self._heard_mono = now.mono
        if now.trusted:  # intervals need the time of day
            self._listed = listed

    def to_judge(self, now: Now) -> Callable[[], Listing] | None:
        """A new list: to be called beside the loop, and given to `judged`."""
        listed, self._listed = self._listed, None
        if listed is None:
            return None
        rules, utc = self.membership.rules, self._clock.told(now).utc
        return partial(self.events.judge, listed, rules, utc)

    def judged(self, listing: Listing) -> None:
        """It counts from now on."""
        if self.events.take(listing):
            self._dirty = True

    def _wait(self, call: Call, now: Now) -> None:
        """Longer each time, until an answer is as it should be."""
        self._rows = []
        if call.kind == "token":  # the VTN may tell another place for it
            self._token_url = self._config.token_url
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._failures, 8))
        self._failures += 1
        self._retry_mono = now.mono + wait_s

    # -- what follows from it --------------------------------------------------------

    def report(self, report: EvseReport) -> None:
        """Keeps the newest."""
        self._reports[report.snapshot.evse_id] = report

    def tick(self, now: Now) -> Callable[[], Work] | None:
        """A few times a second: what to call beside the loop, one at a time; its work
        comes back to `reckoned`."""
        now = self._clock.told(now)
        if not now.trusted:
            return None
        if self._saved is not None:
            self._restore(self._saved, now)
            self._saved = None
        alive = list(self.events.alive.values())
        if now.mono >= self._report_mono:
            self._report_mono = now.mono + REPORTS_S
            if self.events.drop_over(now.utc):
                self._dirty = True
            self._waiting += self._reporting.tick(alive, self._reports, now)
        if not self._dirty and now.mono < self._refresh_mono:
            return None
        self._dirty, self._refresh_mono = False, now.mono + REFRESH_S
        alive = list(self.events.alive.values())
        until_mono = (self._heard_mono or 0.0) + self._config.hold_s
        reports = dict(self._reports)
        return partial(self._dispatch.reckon, alive, until_mono, reports, now)

    def reckoned(self, work: Work, now: Now) -> Work:
        """With what is to be kept."""
        work.save = self._save(self._clock.told(now))
        return work

    # -- over restarts ---------------------------------------------------------------

    def _save(self, now: Now) -> Json | None:
        events = self.events.save()
        state = {
            "events": events,
            "baselines": dict(self._dispatch.baselines),
            "membership": self.membership.save(),
        }
        return self._kept.changed(state, self._heard_mono if events else None, now)

    def _restore(self, saved: Mapping[str, Any], now: Now) -> None:
        """Events of the last run; the VTN's next list confirms or ends them."""
        if self._heard_mono is not None or not saved.get("events"):
            return
        rows = saved["events"] if isinstance(saved["events"], list) else []
        rows = [row for row in rows if isinstance(row, dict)]
        member = saved.get("membership")
        self.membership.load(member if isinstance(member, dict) else {})
        rules = self.membership.rules
        self.events.load(rows, rules, lambda event: not event.over(now.utc))
        baselines = saved.get("baselines")
        if isinstance(baselines, dict):
            for key, value in list(baselines.items())[:MOST_EVENTS]:
                if isinstance(key, str) and isinstance(value, (int, float)):
                    self._dispatch.baselines[key] = max(-1e6, min(1e6, float(value)))
        try:
            heard_mono = now.mono_at(words.utc(saved.get("heard_utc")))
        except Refused:
            return
        self._heard_mono = min(now.mono, heard_mono)

    def status(self) -> dict[str, Any]:
        """For people."""
        return {
            "connected": self._failures == 0 and self._heard_mono is not None,
            "ven_id": self.membership.ven_id,
            "failures": self._failures,
            "events": {e.id: _words(e) for e in self.events.alive.values()},
            "accepted": self.events.accepted,
            "deleted": self.events.deleted,
            "reports": self.sent,
            "refused": dict(self.refused + self.events.refused),
        }

    def alerts(self, now: Now) -> dict[str, str]:
        """Alerts that are on now, with their texts: for people."""
        found = {}
        now = self._clock.told(now)
        for event in self.events.alive.values():
            now_s, _ = horizon(event, now.utc)
            for part in event.spans(now_s, now_s + 1e-3, 1):
                if part.kind.startswith(ALERTS):
                    found[part.kind] = part.note
        return found


def _words(event: Event) -> str:
    kinds = dict.fromkeys(part.kind for part in event.parts)
    where = "station" if not event.evse_ids else f"EVSE {event.evse_ids}"
    return f"{where}: {', '.join(kinds) or 'asks for reports'}"
