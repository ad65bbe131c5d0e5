"""I01 to I06: what the driver is told of tariff and cost.

Owns the personal messages and languages of who is there, and the total of the last
transaction until its driver has gone. Shows nothing itself: `texts` is what a display,
`chargerctl display` or a maker's program asks for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chargerd.clock import Now
from chargerd.model import DisplayText, EvseReport, SessionPhase
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk, EvseView
from chargerd.ocpp.blocks.tariffs import Tariffs
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.table.tariff import CTRLR, LANGUAGES

MOST_TOTALS = 50
FALLBACK_LANGUAGE = "en"  # O01.FR.09


@dataclass(slots=True)
class Guest:
    """Who is at one EVSE."""

    languages: tuple[str, ...] = ()  # first choice first
    personal: tuple[Payload, ...] = ()  # MessageContentType in several languages
    ended: str = ""  # his transaction
    total: float | None = None  # what it cost
    unknown: bool = False  # nobody can say what it cost (I05)
    receipt: str = ""  # where it is


class DriverTexts(Block):
    def __init__(self, desk: Desk, tariffs: Tariffs) -> None:
        self._desk = desk
        self._tariffs = tariffs
        self.guests = {evse_id: Guest() for evse_id in desk.evses}
        self._seen: dict[int, str] = {}
        self.totals: dict[str, float] = {}  # of the last transactions, by id

    # What happens.

    def welcome(self, evse_id: int, info: Payload) -> None:
        """An IdTokenInfoType of a token that may start a session (I01)."""
        languages = (info.get("language1"), info.get("language2"))
        message = info.get("personalMessage")
        self.guests[evse_id] = Guest(
            tuple(language for language in languages if language),
            (message,) if message else (),
        )

    def answered(self, request: Payload, answer: Payload) -> None:
        """TransactionEvent's answer may bring other texts (I06), and to Ended the
        total (I03). A late answer is of a driver who has gone."""
        evse_id = request.get("evse", {}).get("id", 0)
        number = request["transactionInfo"]["transactionId"]
        if request["eventType"] == "Ended" and "totalCost" in answer:
            self._total(number, float(answer["totalCost"]))
        guest = self.guests.get(evse_id)
        if guest is None or number not in (self._running(evse_id), guest.ended):
            return
        message = answer.get("updatedPersonalMessage")
        if message:
            extra = answer.get("updatedPersonalMessageExtra", [])
            guest.personal = (message, *extra)
        open_ = guest.total is None and not guest.unknown
        if request["eventType"] == "Ended" and "totalCost" in answer and open_:
            guest.total = float(answer["totalCost"])

    def _running(self, evse_id: int) -> str:
        return self._desk.evses[evse_id].transaction_id

    def ended(
        self, evse_id: int, number: str, total: float | None, *, offline: bool
    ) -> None:
        """Without a total of our own, the answer may still bring one."""
        guest = self.guests[evse_id]
        guest.ended, guest.total = number, total
        if total is not None:
            self._total(number, total)
        guest.unknown = offline and total is None

    def _total(self, number: str, total: float) -> None:
        """The first one said counts: our own, where there is one."""
        self.totals.setdefault(number, total)
        while len(self.totals) > MOST_TOTALS:
            del self.totals[next(iter(self.totals))]

    def receipt(self, evse_id: int, number: str, url: str) -> None:
        """Where a card payment's receipt is, for who has not gone yet (C21)."""
        guest = self.guests[evse_id]
        if number and guest.ended == number:
            guest.receipt = url

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """Another session, or none: the driver before it has gone."""
        session = report.snapshot.session
        known = self._seen.get(view.config.id, "")
        if session.id == known:
            return
        self._seen[view.config.id] = session.id
        if known or session.phase is SessionPhase.IDLE:
            self.guests[view.config.id] = Guest()

    # What is shown.

    def texts(self, evse_id: int, now: Now) -> list[DisplayText]:
        view, guest = self._desk.evses[evse_id], self.guests[evse_id]
        shown = [self._tariff(view, guest, now)]
        if view.transaction_id and view.running_cost is not None:
            shown.append(self._cost(view, "cost", view.running_cost, now))
        if guest.ended and guest.total is not None:
            shown.append(self._cost(view, "total", guest.total, now))
        elif guest.unknown:
            text = self._fallback("TotalCostFallbackMessage", guest)
            shown.append(DisplayText(evse_id, "total", text))
        shown.append(DisplayText(evse_id, "receipt", guest.receipt, "URI"))
        return [text for text in shown if text is not None and text.content]

    def _tariff(self, view: EvseView, guest: Guest, now: Now) -> DisplayText | None:
        evse_id = view.config.id
        if guest.personal:
            return as_text(evse_id, "tariff", best(guest.personal, guest.languages))
        told = view.tariff or self._tariffs.chosen(view, now)
        if told is not None and told.get("description"):
            chosen = best(told["description"], guest.languages)
            return as_text(evse_id, "tariff", chosen)
        text = ""
        if not self._desk.online:
            text = self._fallback("OfflineTariffFallbackMessage", guest)
        text = text or self._fallback("TariffFallbackMessage", guest)
        return DisplayText(evse_id, "tariff", text)

    def _cost(self, view: EvseView, kind: str, cost: float, now: Now) -> DisplayText:
        told = view.tariff or self._tariffs.chosen(view, now)
        currency = (
            told["currency"] if told else self._desk.model.text(CTRLR, "Currency")
        )
        return DisplayText(view.config.id, kind, f"{cost:.2f} {currency}")

    def _fallback(self, variable: str, guest: Guest) -> str:
        """In the first language that has it, else the one without a language."""
        for language in (*guest.languages, FALLBACK_LANGUAGE):
            short = language.partition("-")[0].lower()
            if short in LANGUAGES:
                text = self._desk.model.text(CTRLR, variable, short)
                if text:
                    return text
        return self._desk.model.text(CTRLR, variable)


def best(messages: Iterable[Payload], languages: Iterable[str]) -> Payload:
    """The one in the first language that is there; else in English, else the first
    (O01.FR.08, .09). A region that differs is better than another language."""
    told = list(messages)
    for wanted in (*languages, FALLBACK_LANGUAGE):
        for exact in (True, False):
            for message in told:
                has = message.get("language", "").lower()
                want = wanted.lower()
                if not exact:
                    has, want = has.partition("-")[0], want.partition("-")[0]
                if has == want:
                    return message
    return told[0]


def as_text(evse_id: int, kind: str, message: Payload) -> DisplayText:
    return DisplayText(
        evse_id,
        kind,
        message["content"],
        message["format"],
        message.get("language", ""),
    )
