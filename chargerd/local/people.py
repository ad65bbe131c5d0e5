"""The local API's verbs for displays, drivers and payment terminals.

Owns the bounds of their arguments. What they do is the central system's door's; a
maker's program for a display or a terminal needs no other interface.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from chargerd.local.read_model import Json
from chargerd.local.values import LocalError, number, text
from chargerd.model import DisplayText, DriverLimits, PaymentDone

MAX_DETAILS = 20
MORE_OF_PAID = {"receipt_url": 2000, "receipt_id": 50, "order": 20}
STATUSES = ("Settled", "Canceled", "Rejected", "Failed")
WEB_LIMITS = {"energy_wh": 1e7, "time_s": 1e7, "cost": 1e7}
LIMITS = {**WEB_LIMITS, "soc_pct": 100.0}


class People(Protocol):
    """What the central system's door does for them; a text is why not."""

    def texts(self) -> list[DisplayText]: ...
    def terminal(self) -> dict[str, Any]: ...
    def set_limits(self, evse_id: int, wish: DriverLimits) -> str: ...
    def use_priority(self, evse_id: int, activate: bool) -> str: ...
    def refuse_tariff(self, evse_id: int) -> str: ...
    def wish_web_payment(self, evse_id: int, limits: DriverLimits) -> str: ...
    def card_paid(
        self, evse_id: int, psp_ref: str, details: Mapping[str, str]
    ) -> str: ...
    def payment_done(self, told: PaymentDone) -> str: ...
    def check_vat(self, evse_id: int, number: str) -> str: ...


class PeopleVerbs:
    def __init__(self, people: People | None, evse: Callable[[Json], int]) -> None:
        self._people = people
        self._evse = evse

    def table(self) -> dict[str, Callable[[Json], Awaitable[Json]]]:
        return {
            "priority": self._priority,
            "limit": self._limit,
            "display": self._display,
            "refuse-tariff": self._refuse_tariff,
            "web-payment": self._web_payment,
            "terminal": self._terminal,
            "card": self._card,
            "paid": self._paid,
            "vat": self._vat,
        }

    @property
    def _door(self) -> People:
        if self._people is None:
            raise LocalError("no central system: this is a matter of its own")
        return self._people

    async def _priority(self, question: Json) -> Json:
        """Charging ahead of others, if the central system has set how (OCPP K22)."""
        on = question.get("off") is not True
        return _accepted(self._door.use_priority(self._evse(question), on))

    async def _limit(self, question: Json) -> Json:
        """Stop the session's energy there; the central system is told (OCPP E16)."""
        wish = _limits(question, LIMITS)
        return _accepted(self._door.set_limits(self._evse(question), wish))

    async def _display(self, question: Json) -> Json:
        """What each display shows now; EVSE 0 = the main one."""
        return {"texts": [asdict(shown) for shown in self._door.texts()]}

    async def _refuse_tariff(self, question: Json) -> Json:
        """The driver does not accept the tariff he is shown (OCPP I07, I08)."""
        return _accepted(self._door.refuse_tariff(self._evse(question)))

    async def _web_payment(self, question: Json) -> Json:
        """What the driver wants before he scans the code (OCPP C25)."""
        wish = _limits(question, WEB_LIMITS)
        return _accepted(self._door.wish_web_payment(self._evse(question), wish))

    async def _terminal(self, question: Json) -> Json:
        """What a payment terminal has to know and to do (OCPP C18 to C23)."""
        return self._door.terminal()

    async def _card(self, question: Json) -> Json:
        """The payment service has authorised a card."""
        psp_ref, told = text(question, "psp_ref", 255), question.get("details", {})
        if not isinstance(told, dict) or len(told) > MAX_DETAILS:
            raise LocalError(f"details: an object of at most {MAX_DETAILS} texts")
        details = {name: text(told, name, 255) for name in told}
        evse_id = self._evse(question)
        return _accepted(self._door.card_paid(evse_id, psp_ref, details))

    async def _paid(self, question: Json) -> Json:
        """An order of `terminal` is carried out, or could not be."""
        status = text(question, "status", 20)
        if status not in STATUSES:
            raise LocalError(f"status: {status!r}; known: {', '.join(STATUSES)}")
        more = {
            name: text(question, name, longest)
            for name, longest in MORE_OF_PAID.items()
            if question.get(name) is not None
        }
        psp_ref = text(question, "psp_ref", 255)
        return _accepted(self._door.payment_done(PaymentDone(psp_ref, status, **more)))

    async def _vat(self, question: Json) -> Json:
        """Is a VAT number good? The answer is in `terminal` a moment later."""
        evse_id, told = self._evse(question), text(question, "number", 20)
        return _accepted(self._door.check_vat(evse_id, told))


def _limits(question: Json, most: Mapping[str, float]) -> DriverLimits:
    """At least one of those in `most`, each from 0 to that."""
    given = {
        name: number(question, name, 0.0, high)
        for name, high in most.items()
        if question.get(name) is not None
    }
    if not given:
        raise LocalError(f"give one of {', '.join(most)}")
    return DriverLimits(**given)


def _accepted(why: str) -> Json:
    """The answer to a wish; `why`: why it cannot be, "" = it is done."""
    if why:
        raise LocalError(why)
    return {"accepted": True}
