"""An account as CostDetailsType, and on the disk. Pure.

Owns rounding: what is told has six decimals at most (part 2, 2.1.2); what is kept is
exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

from chargerd.ocpp.cost import RUNNING, Account, Period, Sample, Sums
from chargerd.ocpp.effects import OcppError, Payload
from chargerd.ocpp.tariff import Tariff, parse

NAMES = {"fixedFee": "fixed"}  # where TotalCostType has another word
FIELDS = (
    "fixedFee", "energy", "chargingTime", "idleTime", "reservationTime",
    "reservationFixed",
)  # fmt: skip
BLIND = "the meter does not answer"
MERGED = "too many charging periods: the last one holds several"


def details(account: Account, *, final: bool) -> Payload:
    """CostDetailsType; the periods come at the end only (I12.FR.02, errata)."""
    made: Payload = {
        "totalCost": total_cost(account, final=final),
        "totalUsage": _usage(account),
    }
    if final:
        made["chargingPeriods"] = [
            _period(account.tariff, period) for period in account.periods
        ]
    reason = failure(account) if final else ""
    if reason:
        made["failureToCalculate"] = True
        made["failureReason"] = reason
    return made


def failure(account: Account) -> str:
    """Why not all of it could be calculated; "" = all could (I12.FR.14)."""
    if account.blind and "energy" in account.tariff.elements:
        return BLIND
    return MERGED if account.merged else ""


def total_cost(account: Account, *, final: bool) -> Payload:
    """TotalCostType, of which one of three kinds applies (I12.FR.38, .39, .41)."""
    tariff, low = account.tariff, account.tariff.min_cost
    made: Payload = {"currency": tariff.currency}
    if final and low is not None and account.too_low(low):
        told = {k: low.told[k] for k in ("exclTax", "inclTax") if k in low.told}
        return {**made, "typeOfCost": "MinCost", "fixed": low.told, "total": told}
    made["typeOfCost"] = "MaxCost" if account.frozen else "NormalCost"
    for name in FIELDS:
        if name in account.sums:
            made[NAMES.get(name, name)] = _price(account, name)
    made["total"] = _told(account.total())
    return made


def running_cost(account: Account) -> float:
    """What the driver would pay now, taxes included."""
    return rounded(account.total().incl)


def _price(account: Account, name: str) -> Payload:
    told = _told(account.sums[name])
    element = account.tariff.elements.get(name)
    if element is not None and element.tax_rates:
        told["taxRates"] = list(element.tax_rates)
    return told


def _told(sums: Sums) -> Payload:
    return {"exclTax": rounded(sums.excl), "inclTax": rounded(sums.incl)}


def rounded(value: Fraction | Decimal) -> float:
    return float(round(Fraction(value), 6))


def _usage(account: Account) -> Payload:
    made: Payload = {
        "energy": rounded(account.energy_wh),
        "chargingTime": account.charging_ms // 1000,
        "idleTime": account.idle_ms // 1000,
    }
    if account.reservation_s is not None:
        made["reservationTime"] = account.reservation_s
    return made


def _period(tariff: Tariff, period: Period) -> Payload:
    """With what prices and conditions go by (I12.FR.35)."""
    start = datetime.fromtimestamp(period.start_ms / 1000, UTC)
    volumes: list[tuple[str, float]] = [
        ("Energy", rounded(period.energy_wh)),
        ("ChargingTime", period.charging_ms / 1000),
        ("IdleTIme", period.idle_ms / 1000),  # as the schema spells it
    ]
    for kind, span in (("Power", period.power_w), ("Current", period.current_a)):
        if span is not None and tariff.asks(kind):
            volumes += [(f"Min{kind}", float(span[0])), (f"Max{kind}", float(span[1]))]
    text = start.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "tariffId": period.tariff_id,
        "startPeriod": text,
        "dimensions": [{"type": kind, "volume": volume} for kind, volume in volumes],
    }


# On the disk.


def kept(account: Account) -> Payload:
    """Everything but the tariff and the periods that are over."""
    return {
        "dc": account.is_dc,
        "payment": list(account.payment),
        "sums": {n: [str(s.excl), str(s.incl)] for n, s in account.sums.items()},
        "periods": len(account.periods),
        "period": kept_period(account.periods[-1]),
        "energy": str(account.energy_wh),
        "charging": account.charging_ms,
        "idle": account.idle_ms,
        "idle_run": account.idle_run_ms,
        "reservation": account.reservation_s,
        "frozen": account.frozen,
        "merged": account.merged,
        "register": _text(account.last.energy_wh),
        "used": list(account.used),
    }


def kept_period(period: Period) -> Payload:
    return {
        "tariff": period.tariff_id,
        "start": period.start_ms,
        "energy": str(period.energy_wh),
        "charging": period.charging_ms,
        "idle": period.idle_ms,
        "power": _texts(period.power_w),
        "current": _texts(period.current_a),
    }


def restored(
    told: Payload, record: Mapping[str, Any], over: list[Any], zone: tzinfo
) -> Account | None:
    """From the tariff as told, `kept` and the periods that were over; None when that
    is no account."""
    try:
        register = record["register"]
        account = Account(parse(told), zone, bool(record["dc"]), _pair(record))
        account.sums = {
            name: Sums(Fraction(excl), Fraction(incl))
            for name, (excl, incl) in record["sums"].items()
        }
        account.periods = [_restored(p) for p in (*over, record["period"])]
        account.energy_wh = Decimal(record["energy"])
        account.charging_ms = int(record["charging"])
        account.idle_ms = int(record["idle"])
        account.idle_run_ms = int(record["idle_run"])
        account.reservation_s = record["reservation"]
        account.frozen, account.merged = bool(record["frozen"]), bool(record["merged"])
        account.last = Sample(None if register is None else Decimal(register))
        account.used = tuple(record["used"])
    except (KeyError, TypeError, ValueError, ArithmeticError, OcppError):
        return None
    whole = len(account.periods) == record["periods"]
    return account if whole and len(account.used) == len(RUNNING) else None


def _pair(record: Mapping[str, Any]) -> tuple[str, str]:
    brand, recognition = record["payment"]
    return str(brand), str(recognition)


def _restored(record: Mapping[str, Any]) -> Period:
    power, current = record["power"], record["current"]
    return Period(
        str(record["tariff"]),
        int(record["start"]),
        Decimal(record["energy"]),
        int(record["charging"]),
        int(record["idle"]),
        (Decimal(power[0]), Decimal(power[1])) if power else None,
        (Decimal(current[0]), Decimal(current[1])) if current else None,
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _texts(span: tuple[Decimal, Decimal] | None) -> list[str] | None:
    return None if span is None else [str(value) for value in span]
