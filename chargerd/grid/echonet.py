"""The ECHONET Lite node: objects, services, announcements, who may do what.

Pure: datagrams and reports in, datagrams and signals out. The shell is
`echonet_door.py`. Must never follow a Set from a host that is not a controller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from chargerd.config_grid import Echonet
from chargerd.grid.echonet_device import AUTOMATIC
from chargerd.grid.echonet_frame import Esv, Frame, Property, read, write
from chargerd.grid.echonet_objects import Charger, Profile
from chargerd.grid.echonet_settings import SETTABLE
from chargerd.grid.errors import GridError
from chargerd.grid.peers import Rate, within
from chargerd.model import DispatchSignal, EvseReport

MOST_PROPERTIES = 60  # in one request: the answer fits one datagram
EARLY_S = 1.0  # the same object announces its changes at most this often
# Request: the answer when all was served, the answer when something was not.
_ANSWERS = {
    Esv.SETI: (None, Esv.SETI_SNA),
    Esv.SETC: (Esv.SET_RES, Esv.SETC_SNA),
    Esv.GET: (Esv.GET_RES, Esv.GET_SNA),
    Esv.INF_REQ: (Esv.INF, Esv.INF_SNA),
    Esv.SETGET: (Esv.SETGET_RES, Esv.SETGET_SNA),
    Esv.INFC: (Esv.INFC_RES, Esv.INFC_RES),
}
_SETS = (Esv.SETI, Esv.SETC, Esv.SETGET)


@dataclass(frozen=True, slots=True)
class Out:
    """One datagram. `host` None = to the multicast group."""

    host: str | None
    data: bytes


@dataclass(slots=True)
class Work:
    """What one event leads to."""

    outs: list[Out] = field(default_factory=list)
    signals: list[DispatchSignal] = field(default_factory=list)


@dataclass(slots=True)
class _Command:
    """Who commands a charger, since when its life runs, and till when."""

    host: str
    since_mono: float
    until_mono: float


@dataclass(frozen=True, slots=True)
class _Served:
    """One object's answer: the lists as they go out, and was all of it served."""

    first: tuple[Property, ...]
    more: tuple[Property, ...] = ()
    complete: bool = True
    put: frozenset[int] = frozenset()  # what was set


class Node:
    """The node profile and all chargers of the station."""

    def __init__(
        self, config: Echonet, profile: Profile, chargers: Iterable[Charger]
    ) -> None:
        self._config, self._profile = config, profile
        self._chargers = {charger.evse_id: charger for charger in chargers}
        self._rate = Rate(config.requests_per_s)
        self._commands: dict[int, _Command] = {}
        self._told: dict[int, tuple[float, dict[int, bytes]]] = {}
        self._tid = 0
        self.refused: Counter[str] = Counter()
        self.accepted = 0

    def greet(self) -> list[Out]:
        """At start: what there is. The chargers' next reports announce their state."""
        self._told.clear()
        return [self._inform(self._profile.eoj, {0xD5: self._profile.instances})]

    def report(self, report: EvseReport) -> list[Out]:
        """Keeps the newest, announces what has changed."""
        charger = self._chargers[report.snapshot.evse_id]
        charger.report = report
        return self._news(charger, report.snapshot.now.mono)

    def tick(self, now_mono: float) -> Work:
        """Ends what has outlived its life: automatic mode again."""
        work = Work()
        ended = [i for i, c in self._commands.items() if now_mono >= c.until_mono]
        for evse_id in ended:
            del self._commands[evse_id]
            charger = self._chargers[evse_id]
            charger.settings.mode = AUTOMATIC
            work.signals.append(charger.settings.signal(now_mono, now_mono))
            work.outs += self._news(charger, now_mono)
        return work

    def receive(self, data: bytes, host: str, now_mono: float) -> Work:
        """One datagram. What is refused is counted by its reason."""
        work = Work()
        address = IPv4Address(host)
        may_set = within(address, self._config.controllers)
        reason = ""
        if not may_set and not within(address, self._config.readers):
            reason = "unknown host"
        elif not self._rate.take(host if may_set else "", now_mono):
            reason = "flood"  # those who may not set share one rate
        else:
            reason = self._request(data, host, may_set, now_mono, work)
        if reason:
            self.refused[reason] += 1
        return work

    def _request(
        self, data: bytes, host: str, may_set: bool, now_mono: float, work: Work
    ) -> str:
        try:
            frame = read(data)
        except GridError:
            return "malformed"
        if frame.esv not in _ANSWERS:
            return ""  # an answer, or another's announcement
        if len(frame.properties) + len(frame.more) > MOST_PROPERTIES:
            return "size"
        targets = [t for t in self._objects() if _meant(t.eoj, frame.target)]
        if not targets:
            return "no such object"
        reason = _objection(frame, may_set)
        for target in targets:
            served = _serve(target, frame, may_put=not reason)
            self._answer(target, frame, served, host, work)
            if may_set and not reason and isinstance(target, Charger):
                self._heed(target, served.put, host, now_mono, work)
        if reason:
            return reason
        self.accepted += 1
        return ""

    def _objects(self) -> Iterator[Profile | Charger]:
        yield self._profile
        yield from self._chargers.values()

    def _answer(
        self,
        target: Profile | Charger,
        frame: Frame,
        served: _Served,
        host: str,
        work: Work,
    ) -> None:
        whole, partly = _ANSWERS[frame.esv]
        esv = whole if served.complete else partly
        if esv is None:
            return
        to = None if esv is Esv.INF else host
        answer = Frame(
            frame.tid, target.eoj, frame.source, esv, served.first, served.more
        )
        work.outs.append(Out(to, write(answer)))

    def _heed(
        self,
        charger: Charger,
        put: frozenset[int],
        host: str,
        now_mono: float,
        work: Work,
    ) -> None:
        """A command begins, changes, ends, or is kept alive by its controller."""
        evse_id, held = charger.evse_id, self._commands.get(charger.evse_id)
        if not put & SETTABLE - {0xCD} and not self._kept(held, host, now_mono):
            work.outs += self._news(charger, now_mono) if put else []
            return
        until_mono = now_mono + self._config.hold_s
        if charger.settings.mode != AUTOMATIC:
            self._commands[evse_id] = _Command(host, now_mono, until_mono)
            work.signals.append(charger.settings.signal(now_mono, until_mono))
        elif self._commands.pop(evse_id, None) is not None:
            work.signals.append(charger.settings.signal(now_mono, now_mono))
        work.outs += self._news(charger, now_mono)

    def _kept(self, held: _Command | None, host: str, now_mono: float) -> bool:
        """Is this question a sign of life of who commands? Not each one is told."""
        if not self._config.kept_by_get or held is None or held.host != host:
            return False
        return now_mono - held.since_mono >= self._config.hold_s / 10.0

    def _news(self, charger: Charger, now_mono: float) -> list[Out]:
        """An announcement of what is not as it was told last."""
        at_mono, told = self._told.get(charger.evse_id, (-EARLY_S, {}))
        if now_mono - at_mono < EARLY_S:
            return []
        news = charger.news()
        changed = {epc: edt for epc, edt in news.items() if told.get(epc) != edt}
        if not changed:
            return []
        self._told[charger.evse_id] = (now_mono, news)
        return [self._inform(charger.eoj, changed)]

    def _inform(self, eoj: bytes, values: dict[int, bytes]) -> Out:
        self._tid = (self._tid + 1) % 0x10000
        properties = tuple(Property(epc, edt) for epc, edt in values.items())
        return Out(None, write(Frame(self._tid, eoj, Profile.eoj, Esv.INF, properties)))

    def status(self) -> dict[str, Any]:
        """For people."""
        commands = {
            str(i): {"by": c.host, "mode": f"{self._chargers[i].settings.mode:#04x}"}
            for i, c in self._commands.items()
        }
        return {
            "accepted": self.accepted,
            "refused": dict(self.refused),
            "commands": commands,
        }


def _meant(eoj: bytes, target: bytes) -> bool:
    """Instance 0 = every one of that class."""
    return eoj[:2] == target[:2] and target[2] in (0, eoj[2])


def _objection(frame: Frame, may_set: bool) -> str:
    """Why nothing of a Set is followed; it is answered all the same."""
    if frame.esv not in _SETS:
        return ""
    if not may_set:
        return "unauthorised"
    epcs = [p.epc for p in frame.properties]
    return "contradictory" if len(set(epcs)) != len(epcs) else ""


def _serve(target: Profile | Charger, frame: Frame, *, may_put: bool) -> _Served:
    if frame.esv is Esv.INFC:
        return _Served(tuple(Property(p.epc) for p in frame.properties))
    if frame.esv is Esv.GET:
        return _got([(p.epc, target.get(p.epc)) for p in frame.properties])
    if frame.esv is Esv.INF_REQ:
        return _got([(p.epc, target.announced(p.epc)) for p in frame.properties])
    done = may_put and target.put(frame.properties)
    got = _got([(p.epc, target.get(p.epc)) for p in frame.more])
    return _Served(
        first=tuple(Property(p.epc, b"" if done else p.edt) for p in frame.properties),
        more=got.first,
        complete=done and got.complete,
        put=frozenset(p.epc for p in frame.properties) if done else frozenset(),
    )


def _got(found: list[tuple[int, bytes | None]]) -> _Served:
    """What has no value goes back empty."""
    return _Served(
        tuple(Property(epc, edt or b"") for epc, edt in found),
        complete=all(edt is not None for _, edt in found),
    )
