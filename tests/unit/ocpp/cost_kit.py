"""Tariffs as a CSMS writes them, and a walk through a transaction's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from chargerd.ocpp.cost import Account, Sample
from chargerd.ocpp.tariff import parse

BEGIN = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)  # a Monday
VAT = [{"type": "vat", "tax": 20.0}]


def tariff(
    tariff_id: str = "T1", currency: str = "EUR", **parts: Any
) -> dict[str, Any]:
    return {"tariffId": tariff_id, "currency": currency, **parts}


def energy(price: float, **more: Any) -> dict[str, Any]:
    """An energy element of one price."""
    return {"prices": [{"priceKwh": price}], **more}


def minutes(price: float, **conditions: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"priceMinute": price}
    return {"prices": [{**made, "conditions": conditions} if conditions else made]}


def fee(price: float, **conditions: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"priceFixed": price}
    return {"prices": [{**made, "conditions": conditions} if conditions else made]}


class Walk:
    """A transaction whose meter and clock are turned by hand."""

    def __init__(
        self,
        told: dict[str, Any],
        *,
        at: datetime = BEGIN,
        zone: tzinfo = UTC,
        charging: bool = True,
        power_w: float = 0.0,
        is_dc: bool = False,
        payment: tuple[str, str] = ("", ""),
        reservation_s: int | None = None,
        fees: bool = True,
    ) -> None:
        self.account = Account(parse(told), zone, is_dc, payment)
        self.mono_ms, self.utc, self.wh = 5000, at, Decimal(0)
        self.account.begin(
            (self.mono_ms, self.utc), self._sample(power_w), charging=charging,
            reservation_s=reservation_s, fees=fees,
        )  # fmt: skip

    def _sample(self, power_w: float) -> Sample:
        power = Decimal(str(power_w))
        return Sample(self.wh, power, power / 230)

    def go(
        self,
        seconds: float,
        wh: float = 0.0,
        *,
        charging: bool | None = None,
        power_w: float = 0.0,
        judge: bool = True,
    ) -> Walk:
        """That long and that much; `charging` and `power_w` as they are afterwards."""
        self.mono_ms += round(seconds * 1000)
        self.utc += timedelta(seconds=seconds)
        self.wh += Decimal(str(wh))
        now = self.account.charging if charging is None else charging
        when = (self.mono_ms, self.utc)
        self.account.advance(when, self._sample(power_w), charging=now)
        if judge:
            self.account.judge()
            self.account.advance(when, self._sample(power_w), charging=now)
        return self

    def excl(self, name: str = "") -> float:
        sums = self.account.sums[name] if name else self.account.total()
        return round(float(sums.excl), 6)

    def incl(self, name: str = "") -> float:
        sums = self.account.sums[name] if name else self.account.total()
        return round(float(sums.incl), 6)
