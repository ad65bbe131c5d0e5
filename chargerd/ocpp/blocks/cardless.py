"""Starts that need no card: a plug where nobody is asked, or the vehicle's own id.

Owns when the heart is asked for such a start, once per plug-in. Decides nothing: a
vehicle's id is a token like any other, and authorization.py is asked about it.
"""

from __future__ import annotations

import re

from chargerd.clock import Now
from chargerd.model import EvseReport, SessionPhase, StartRequest, Token
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.reservation import Reservations
from chargerd.ocpp.blocks.transactions import Transactions

NOBODY = Token("", "NoAuthorization")
_MAC = re.compile(r"[0-9A-Fa-f]{12}")  # DIN 70121 and ISO 15118-2 name themselves so


class Cardless(Block):
    def __init__(
        self, desk: Desk, reservations: Reservations, transactions: Transactions
    ) -> None:
        self._desk = desk
        self._reservations = reservations
        self._transactions = transactions
        self._begun: dict[int, str] = {}  # the session that was started so, by EVSE

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """What was stopped is not begun anew: that takes another plug-in."""
        session, evse_id = report.snapshot.session, view.config.id
        waits = session.phase is SessionPhase.CONNECTED and not session.authorised
        if not waits or self._begun.get(evse_id) == session.id:
            return
        if view.blocked or not self._desk.may_begin():
            return
        if self._transactions.watches[evse_id].orphan is not None:
            return  # it may be taken up again (E17)
        if not self._desk.model.flag("AuthCtrlr", "Enabled"):
            if self._reservations.refuses(evse_id, NOBODY):
                return  # it may end while the vehicle waits
            self._begun[evse_id] = session.id
            self._desk.ask(StartRequest(evse_id, NOBODY))
        elif self._desk.config.ocpp.autocharge and report.snapshot.vehicle.vehicle_id:
            self._begun[evse_id] = session.id
            token = _named(report.snapshot.vehicle.vehicle_id)
            self._desk.ask(StartRequest(evse_id, token, authorised=False))


def _named(vehicle_id: str) -> Token:
    kind = "MacAddress" if _MAC.fullmatch(vehicle_id) else "EVCCID"
    return Token(vehicle_id, kind)
