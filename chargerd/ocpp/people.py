"""What drivers, displays and payment terminals may do with the station, for the house.

Owns the clock and the draining around each call; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from chargerd.clock import Now
from chargerd.model import DisplayText, DriverLimits, PaymentDone


class Station(Protocol):
    """The part of `station.OcppStation` that is meant for people."""

    def texts(self, now: Now) -> list[DisplayText]: ...
    def set_limits(self, evse_id: int, wish: DriverLimits, now: Now) -> str: ...
    def use_priority(self, evse_id: int, activate: bool, now: Now) -> str: ...
    def refuse_tariff(self, evse_id: int, now: Now) -> str: ...
    def wish_web_payment(self, evse_id: int, limits: DriverLimits, now: Now) -> str: ...
    def terminal(self) -> dict[str, Any]: ...
    def card_paid(
        self, evse_id: int, psp_ref: str, details: Mapping[str, str], now: Now
    ) -> str: ...
    def payment_done(self, told: PaymentDone, now: Now) -> str: ...
    def check_vat(self, evse_id: int, number: str, now: Now) -> str: ...


class People:
    """Each call at once; a text is why not, "" = done."""

    def __init__(
        self, station: Station, now: Callable[[], Now], drain: Callable[[Now], None]
    ) -> None:
        self._station = station
        self._now = now
        self._drain = drain

    def texts(self) -> list[DisplayText]:
        return self._station.texts(self._now())

    def terminal(self) -> dict[str, Any]:
        return self._station.terminal()

    def set_limits(self, evse_id: int, wish: DriverLimits) -> str:
        """Where the driver wants the energy to stop (E16)."""
        return self._done(lambda now: self._station.set_limits(evse_id, wish, now))

    def use_priority(self, evse_id: int, activate: bool) -> str:
        """The driver's wish at the station (K22)."""
        return self._done(
            lambda now: self._station.use_priority(evse_id, activate, now)
        )

    def refuse_tariff(self, evse_id: int) -> str:
        return self._done(lambda now: self._station.refuse_tariff(evse_id, now))

    def wish_web_payment(self, evse_id: int, limits: DriverLimits) -> str:
        return self._done(
            lambda now: self._station.wish_web_payment(evse_id, limits, now)
        )

    def card_paid(self, evse_id: int, psp_ref: str, details: Mapping[str, str]) -> str:
        return self._done(
            lambda now: self._station.card_paid(evse_id, psp_ref, details, now)
        )

    def payment_done(self, told: PaymentDone) -> str:
        return self._done(lambda now: self._station.payment_done(told, now))

    def check_vat(self, evse_id: int, number: str) -> str:
        return self._done(lambda now: self._station.check_vat(evse_id, number, now))

    def _done(self, call: Callable[[Now], str]) -> str:
        now = self._now()
        why = call(now)
        self._drain(now)
        return why
