"""Block H: EVSEs kept free for somebody who is still to come.

Owns the reservations, on disk as digests of tokens, and what the central system hears
of their end. Who may charge where is asked here by authorization.py and
remote_control.py; that an EVSE shows Reserved is the work of availability.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from chargerd.clock import Now
from chargerd.model import EvseReport, Token
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal, stamp
from chargerd.ocpp.blocks.reserved import Reservation, kept_free, served
from chargerd.ocpp.blocks.tokens import digest, digest_of
from chargerd.ocpp.effects import Answer, OcppError, Payload
from chargerd.ocpp.profiles import parse_time

SPACE = "reservation"
GROUP_KIND = "Central"  # C09.FR.13


@dataclass(frozen=True, slots=True)
class _Used:
    """Somebody has come; the transaction is to follow within `until_mono`."""

    reservation_id: int
    until_mono: float


class Reservations(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        restored = (_restored(value) for value in desk.saved.get(SPACE, {}).values())
        self._held = {one.id: one for one in restored if one is not None}
        self._used: dict[int, _Used] = {}  # by EVSE
        self._keys: dict[int, object] = {}

    def routes(self) -> Mapping[str, Handler]:
        return {"CancelReservation": self.cancel, "ReserveNow": self.reserve}

    # The CSMS.

    def reserve(self, request: Payload, now: Now) -> Answer:
        """ReserveNow (H01)."""
        if not self._desk.model.flag("ReservationCtrlr", "Enabled"):  # H01.FR.01
            return refusal("NotEnabled", "ReservationCtrlr.Enabled is false")
        made = self._made(request, now)
        if not isinstance(made, Reservation):
            return made
        others = [one for one in self._held.values() if one.id != made.id]
        free = self._evses(idle=True)
        for evse_id in self._kept_free_for(others):
            free.pop(evse_id, None)
        if not any(made.fits(evse_id, types) for evse_id, types in free.items()):
            return {"status": self._why_not(made)}
        self._keep(made)
        self._look_again(now)
        return {"status": "Accepted"}

    def _made(self, request: Payload, now: Now) -> Reservation | Payload:
        """The reservation that is asked for; or what is wrong with it."""
        evse_id, kind = request.get("evseId"), request.get("connectorType", "")
        model = self._desk.model
        if evse_id is None and not model.flag("ReservationCtrlr", "NonEvseSpecific"):
            return refusal("MissingParam", "evseId")  # H01.FR.19
        if evse_id is not None and evse_id not in self._desk.evses:
            return refusal("UnknownEvse", f"there is no EVSE {evse_id}")
        try:
            ends = parse_time(request["expiryDateTime"])
        except OcppError as error:
            return refusal("InvalidValue", error.description)
        if ends <= now.utc:
            return refusal("InvalidValue", "expiryDateTime has passed")
        group = request.get("groupIdToken")
        made = Reservation(
            request["id"],
            request["expiryDateTime"],
            digest_of(request["idToken"]),
            digest(GROUP_KIND, group["idToken"]) if group else "",
            evse_id,
            kind,
            stamp(now.utc),
        )
        if not any(made.fits(v.config.id, _types(v)) for v in self._views()):
            return refusal("UnknownConnectorType", f"there is no {kind} here")
        return made

    def _why_not(self, made: Reservation) -> str:
        """All that it could be for have one of these states (H01.FR.11, .12, .14)."""
        statuses = {
            view.status or "Unavailable"  # it has yet to report
            for view in self._views()
            if made.fits(view.config.id, _types(view))
        }
        if statuses <= {"Faulted"}:
            return "Faulted"
        return "Unavailable" if statuses <= {"Faulted", "Unavailable"} else "Occupied"

    def cancel(self, request: Payload, now: Now) -> Answer:
        """CancelReservation (H02)."""
        held = self._held.get(request["reservationId"])
        if held is None:
            return refusal("NotFound")
        self._forget(held)
        self._look_again(now)
        return {"status": "Accepted"}

    # Who may charge where.

    def refuses(self, evse_id: int, token: Token) -> bool:
        """True when somebody else's reservation needs that EVSE (F01.FR.21, .22)."""
        mine = self._of(evse_id, token)
        others = [one for one in self._held.values() if one is not mine]
        return evse_id in self._kept_free_for(others)

    def use(self, evse_id: int, token: Token, now: Now) -> None:
        """Somebody may charge there; a reservation of theirs is used up (H03.FR.09)."""
        held = self._of(evse_id, token)
        if held is None:
            return
        self._forget(held)
        self._used[evse_id] = _Used(held.id, now.mono + self._desk.connect_s())
        view = self._desk.evses[evse_id]
        view.ended_reservation_id = held.id  # H01.FR.15
        view.reserved_since_utc = parse_time(held.since) if held.since else now.utc
        self._look_again(now)

    def _of(self, evse_id: int, token: Token) -> Reservation | None:
        """The reservation of this token there; one for that EVSE alone comes first."""
        who = digest(token.kind, token.value)
        group = digest(GROUP_KIND, token.group) if token.group else ""
        types = _types(self._desk.evses[evse_id])
        mine = [
            one
            for one in self._held.values()
            if one.is_for(who, group) and one.fits(evse_id, types)
        ]
        return min(mine, key=lambda one: one.evse_id is None, default=None)

    # Time and EVSEs.

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """Before availability: what it tells must fit to what is reserved."""
        if not self._held and not self._used:
            return
        snapshot = report.snapshot
        key = (
            snapshot.session.id,
            view.runs,
            snapshot.operative,
            snapshot.faults,
        )
        if key != self._keys.get(view.config.id):
            self._keys[view.config.id] = key
            self._look_again(now)

    def on_second(self, now: Now) -> None:
        for evse_id, used in list(self._used.items()):
            view = self._desk.evses[evse_id]
            if view.ended_reservation_id != used.reservation_id:
                del self._used[evse_id]  # a transaction has told it
            elif now.mono >= used.until_mono:  # H03.FR.11
                del self._used[evse_id]
                view.ended_reservation_id = view.reserved_since_utc = None
                self._tell(used.reservation_id, "NoTransaction", now)
        over = [one for one in self._held.values() if _is_over(one, now)]
        for one in over:
            self._end(one, "Expired", now)  # H04.FR.01
        if over:
            self._look_again(now)

    def _look_again(self, now: Now) -> None:
        """Remove what can no longer be kept, and keep free what is needed."""
        if any(view.report is None for view in self._views()):
            return
        for one in list(self._held.values()):
            possible = [v for v in self._views() if one.fits(v.config.id, _types(v))]
            if not any(_usable(view) for view in possible):  # H01.FR.16, .17
                self._end(one, "Removed", now)
        while len(self._held) > served(self._held.values(), self._evses(idle=False)):
            self._end(list(self._held.values())[-1], "Removed", now)  # the newest
        needed = self._kept_free_for(self._held.values())
        for view in self._views():
            view.reserved = view.config.id in needed

    def _kept_free_for(self, held: Collection[Reservation]) -> frozenset[int]:
        """Of the EVSEs with nothing plugged in; where these are too few, also of those
        with a vehicle that nobody has authorised: it may be the one that is awaited."""
        idle = self._evses(idle=True)
        enough = served(held, idle) == len(held)
        return kept_free(held, idle if enough else self._evses(idle=False))

    def _evses(self, *, idle: bool) -> dict[int, list[str]]:
        """EVSEs where nobody may charge yet, and their connectors' types."""
        return {
            view.config.id: _types(view)
            for view in self._views()
            if _usable(view)
            and not self._is_taken(view)
            and not (idle and view.plugged)
        }

    def _is_taken(self, view: EvseView) -> bool:
        """By somebody who may charge, or will in the next tick."""
        if view.report is None or view.config.id in self._used:
            return True
        return view.runs

    def _views(self) -> Iterable[EvseView]:
        return self._desk.evses.values()

    def _end(self, held: Reservation, status: str, now: Now) -> None:
        self._forget(held)
        self._tell(held.id, status, now)

    def _tell(self, number: int, status: str, now: Now) -> None:
        payload = {"reservationId": number, "reservationUpdateStatus": status}
        self._desk.send("ReservationStatusUpdate", payload, now)

    def _keep(self, made: Reservation) -> None:
        self._held[made.id] = made
        self._desk.save(SPACE, str(made.id), asdict(made))

    def _forget(self, held: Reservation) -> None:
        del self._held[held.id]
        self._desk.save(SPACE, str(held.id), None)


def _types(view: EvseView) -> list[str]:
    return [connector.type for connector in view.config.connectors]


def _usable(view: EvseView) -> bool:
    """Neither Faulted nor Unavailable."""
    report = view.report
    return report is not None and report.snapshot.operative and not view.faulted


def _is_over(one: Reservation, now: Now) -> bool:
    return now.utc >= parse_time(one.expires)


def _restored(value: Any) -> Reservation | None:
    """A saved reservation; None when it is not one."""
    try:
        one = Reservation(**value)
        parse_time(one.expires)
    except (TypeError, AttributeError, OcppError):
        return None
    return one if isinstance(one.id, int) else None
