"""Block O: the central system's messages on the station's displays.

Owns the messages, on disk, and what all displays show now. There is a main display and
one at each EVSE; what they look like is a maker's: he reads `texts` from the local API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from chargerd.clock import Now
from chargerd.model import DisplayText, EvseReport, SessionPhase
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal
from chargerd.ocpp.blocks.display_choice import Message, Scene, chosen, read
from chargerd.ocpp.blocks.driver_texts import DriverTexts, as_text, best
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.blocks.web_payment import WebPayment
from chargerd.ocpp.effects import Answer, OcppError, Payload
from chargerd.ocpp.table.display import CTRLR, MOST_MESSAGES
from chargerd.ocpp.table.tariff import LANGUAGES
from chargerd.ocpp.v2.dialect import V201

SPACE = "display"
SLICE = 10  # messages of one NotifyDisplayMessages
MOVING_W = 50.0  # less is no flow
_SUSPENDED = (SessionPhase.SUSPENDED_EV, SessionPhase.SUSPENDED_EVSE)


class Display(Block):
    def __init__(
        self,
        desk: Desk,
        transactions: Transactions,
        driver_texts: DriverTexts,
        web_payment: WebPayment,
    ) -> None:
        self._desk = desk
        self._transactions = transactions
        self._driver_texts = driver_texts
        self._web_payment = web_payment
        self._messages: dict[int, Message] = {}
        for key, told in desk.saved.get(SPACE, {}).items():
            self._load(key, told)

    def _load(self, key: str, told: Any) -> None:
        try:
            message = read(told)
            whole = bool(message.priority) and "content" in told["message"]
            self._messages |= {message.id: message} if whole else {}
        except (KeyError, TypeError, AttributeError, OcppError):
            self._desk.save(SPACE, key, None)

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ClearDisplayMessage": self.clear,
            "GetDisplayMessages": self.get,
            "SetDisplayMessage": self.put,
        }

    def refresh(self, now: Now) -> None:
        count = str(len(self._messages))
        self._desk.model.update(CTRLR, "DisplayMessages", count)

    # What the CSMS asks.

    def put(self, request: Payload, now: Now) -> Answer:
        """SetDisplayMessage (O01, O02, O06)."""
        told = request["message"]
        refused = self._unsupported(told)
        if refused:
            return refused
        try:
            message = read(told)
        except OcppError as error:
            return refusal("InvalidValue", error.description)
        refused = self._unusable(message, now)
        if refused:
            return refused
        for other in self._replaced(message):
            self._remove(other)
        if len(self._messages) >= MOST_MESSAGES and message.id not in self._messages:
            return refusal("OutOfMemory", f"at most {MOST_MESSAGES} messages")
        self._messages[message.id] = message
        self._desk.save(SPACE, str(message.id), told)
        return {"status": "Accepted"}

    def _unsupported(self, told: Payload) -> Payload | None:
        """O01.FR.01 to .03, .18, and the same of O02."""
        model = self._desk.model
        if not model.flag(CTRLR, "Enabled"):
            return refusal("NotEnabled", f"{CTRLR}.Enabled is false")
        if told["priority"] not in model.members(CTRLR, "SupportedPriorities"):
            return {"status": "NotSupportedPriority"}
        states = model.members(CTRLR, "SupportedStates")
        if told.get("state", states[0]) not in states:
            return {"status": "NotSupportedState"}
        contents = [told["message"], *told.get("messageExtra", [])]
        formats = model.members(CTRLR, "SupportedFormats")
        if any(content["format"] not in formats for content in contents):
            return {"status": "NotSupportedMessageFormat"}
        tags = [c["language"] for c in contents if "language" in c]
        if not all(tag.partition("-")[0].lower() in LANGUAGES for tag in tags):
            if self._desk.version == V201:  # which has no word for it
                return refusal("UnsupportedParam", "language")
            return {"status": "LanguageNotSupported"}
        return None

    def _unusable(self, message: Message, now: Now) -> Payload | None:
        display = message.told.get("display")
        if display is not None and not self._has(display):  # O01.FR.22
            return refusal("UnknownComponent", "there is no such display")
        if message.over(now.utc):
            return refusal("InvalidValue", "endDateTime has passed")
        start, end = message.start, message.end
        if start is not None and end is not None and start >= end:
            return refusal("InvalidValue", "endDateTime is not after startDateTime")
        number = message.transaction_id
        if number and number not in self._running():
            return {"status": "UnknownTransaction"}  # O02.FR.01
        return None

    def _has(self, display: Payload) -> bool:
        at = display.get("evse", {})
        known = at.get("id", 0) in (0, *self._desk.evses)
        named = display["name"].lower() == "display" and not display.get("instance")
        return bool(named and known and "connectorId" not in at)

    def _replaced(self, message: Message) -> list[Message]:
        """One AlwaysFront only, at each display (O01.FR.16)."""
        return [
            other
            for other in self._messages.values()
            if other.priority == message.priority == "AlwaysFront"
            and other.evse_id == message.evse_id
            and other.id != message.id
        ]

    def get(self, request: Payload, now: Now) -> Answer:
        """GetDisplayMessages (O03, O04); the messages follow in slices."""
        ids = request.get("id")
        found = [
            message.told
            for message in self._messages.values()
            if (ids is None or message.id in ids)
            and all(
                name not in request or message.told.get(name) == request[name]
                for name in ("priority", "state")
            )
        ]
        if not found:
            return {"status": "Unknown"}
        slices = [found[n : n + SLICE] for n in range(0, len(found), SLICE)]
        for number, part in enumerate(slices):
            payload: Payload = {"requestId": request["requestId"], "messageInfo": part}
            if number < len(slices) - 1:
                payload["tbc"] = True
            self._desk.send("NotifyDisplayMessages", payload, now)
        return {"status": "Accepted"}

    def clear(self, request: Payload, now: Now) -> Answer:
        """ClearDisplayMessage (O05)."""
        message = self._messages.get(request["id"])
        if message is None:
            return {"status": "Unknown"}
        if self._desk.disk_broken:  # it would be back after a restart
            answer = refusal("OutOfStorage", "the disk does not take the change")
            return answer if self._desk.version != V201 else {"status": "Unknown"}
        self._remove(message)
        return {"status": "Accepted"}

    def _remove(self, message: Message) -> None:
        del self._messages[message.id]
        self._desk.save(SPACE, str(message.id), None)

    def on_second(self, now: Now) -> None:
        """What is over goes (O01.FR.07, O02.FR.02, .07)."""
        if not self._messages:
            return
        running = self._running()
        for message in list(self._messages.values()):
            ended = message.transaction_id and message.transaction_id not in running
            if ended or message.over(now.utc):
                self._remove(message)

    def _running(self) -> set[str]:
        """Transactions, those included that a restart has not settled yet."""
        watches = self._transactions.watches.values()
        return {tx.id for w in watches for tx in (w.tx, w.orphan) if tx is not None}

    # What is shown.

    def texts(self, now: Now) -> list[DisplayText]:
        """Of the main display (EVSE 0), then of each EVSE's."""
        evses = list(self._desk.evses.values())
        return [*self._main(evses, now), *(t for e in evses for t in self._at(e, now))]

    def _main(self, evses: list[EvseView], now: Now) -> Iterator[DisplayText]:
        states = frozenset(state for view in evses for state in _states(view))
        if any(view.transaction_id for view in evses):
            states -= {"Idle"}
        numbers = frozenset(view.transaction_id for view in evses)
        message = self._chosen(0, states, numbers, now.utc)
        if message is not None:
            contents = _contents(message)
            owner = self._desk.evse_of_transaction(message.transaction_id)
            language = self._languages(owner.config.id if owner else 0)
            yield as_text(0, "message", best(contents, language))

    def _at(self, view: EvseView, now: Now) -> Iterator[DisplayText]:
        """Nothing of the station's own beside a message that is AlwaysFront."""
        evse_id = view.config.id
        numbers = frozenset((view.transaction_id,))
        message = self._chosen(evse_id, frozenset(_states(view)), numbers, now.utc)
        if message is not None:
            languages = self._languages(evse_id)
            yield as_text(evse_id, "message", best(_contents(message), languages))
        if message is None or message.priority != "AlwaysFront":
            yield from self._driver_texts.texts(evse_id, now)
            yield from self._web_payment.texts(evse_id, now)

    def _chosen(
        self,
        evse_id: int,
        states: frozenset[str],
        numbers: frozenset[str],
        at: datetime,
    ) -> Message | None:
        return chosen(self._messages.values(), Scene(evse_id, states, numbers, at))

    def _languages(self, evse_id: int) -> tuple[str, ...]:
        """The driver's, else the station's (O01.FR.08)."""
        guest = self._driver_texts.guests.get(evse_id)
        known = guest.languages if guest else ()
        return known or (self._desk.model.text(CTRLR, "Language"),)


def _contents(message: Message) -> list[Payload]:
    return [message.told["message"], *message.told.get("messageExtra", [])]


def _states(view: EvseView) -> Iterator[str]:
    """MessageStateEnumType; several may hold."""
    report = view.report
    if report is None:
        return
    if view.faulted:
        yield "Faulted"
    if not report.snapshot.operative:
        yield "Unavailable"
    if not view.transaction_id:
        yield "Idle"
        return
    yield from _flow(report)


def _flow(report: EvseReport) -> Iterator[str]:
    phase, power_w = report.snapshot.session.phase, report.decision.power_w
    if phase in _SUSPENDED:
        yield "Suspended"
    elif phase is SessionPhase.ENERGY:
        if power_w <= -MOVING_W:
            yield "Discharging"
        elif power_w >= MOVING_W:
            yield "Charging"
        else:
            yield "Suspended"
