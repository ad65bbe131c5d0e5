"""I07 to I10: which tariffs are here, and which one counts for a driver.

Owns default tariffs (on disk, by EVSE), drivers' tariffs while they are in use, and
TariffCostCtrlr.Problem. Calculates nothing: `costs.py` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargerd.clock import Now
from chargerd.model import Token
from chargerd.ocpp.blocks.auth_cache import AuthCache
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal
from chargerd.ocpp.effects import Answer, CallError, OcppError, Payload
from chargerd.ocpp.profiles import parse_time
from chargerd.ocpp.table.tariff import CTRLR
from chargerd.ocpp.tariff import Tariff, has_conditions, most_elements, parse
from chargerd.ocpp.v2.dialect import V201
from chargerd.ocpp.variable import Refused

SPACE = "tariff"
MOST_DEFAULTS = 20  # by EVSE; more than one wait for their validFrom
DISABLED = CallError("NotSupported", "TariffCostCtrlr.Enabled[Tariff] is false")


@dataclass(frozen=True, slots=True)
class Installed:
    """A default tariff of one EVSE, and since when it is valid."""

    told: Payload
    tariff: Tariff
    since: datetime

    def valid(self, utc: datetime) -> bool:
        """One without validFrom is so at once, though the clock be put back."""
        return self.tariff.valid_from is None or self.since <= utc


@dataclass(slots=True)
class Driver:
    """What the central system said for one driver. `told` None: it calculates itself
    (CentralCost)."""

    token: str
    told: Payload | None
    until_mono: float


class Tariffs(Block):
    def __init__(self, desk: Desk, cache: AuthCache) -> None:
        self._desk = desk
        self._cache = cache
        self._defaults: dict[int, list[Installed]] = {n: [] for n in desk.evses}
        self._drivers: dict[int, Driver] = {}
        for key, kept in desk.saved.get(SPACE, {}).items():
            self._load(key, kept)

    def _load(self, key: str, kept: Any) -> None:
        evse_id = int(key.partition("/")[0]) if key[:1].isdigit() else 0
        try:
            one = Installed(
                kept["told"], parse(kept["told"]), parse_time(kept["since"])
            )
            self._defaults[evse_id].append(one)
        except (KeyError, TypeError, OcppError):
            self._desk.save(SPACE, key, None)

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ClearTariffs": self.clear,
            "GetTariffs": self.get,
            "SetDefaultTariff": self.set_default,
        }

    @property
    def enabled(self) -> bool:
        """Whether tariffs count at all; 2.0.1 does not know them."""
        told = self._desk.model.flag(CTRLR, "Enabled", instance="Tariff")
        return told and self._desk.version != V201

    def check(self, told: Payload) -> Refused | Tariff:
        """May this tariff be used? (I07.FR.02 to .05)"""
        model = self._desk.model
        most = model.number(CTRLR, "MaxElements", "Tariff")
        if most_elements(told) > most:
            text = f"at most {most} prices in a list"
            return Refused("TooManyElements", "TooManyElements", text)
        conditions = model.flag(CTRLR, "ConditionsSupported", instance="Tariff")
        if has_conditions(told) and not conditions:
            text = "no conditions here"
            return Refused("ConditionNotSupported", "UnsupportedParam", text)
        try:
            return parse(told)
        except OcppError as error:
            return Refused("Rejected", "InvalidValue", error.description)

    # Default tariffs.

    def set_default(self, request: Payload, now: Now) -> Answer:
        """SetDefaultTariff (I07)."""
        if not self.enabled:
            return DISABLED
        told, evse_id = request["tariff"], request["evseId"]
        if evse_id != 0 and evse_id not in self._desk.evses:
            return refusal("UnknownEvse", f"there is no EVSE {evse_id}")
        tariff = self.check(told)
        if isinstance(tariff, Refused):
            return refusal(tariff.reason, tariff.text, tariff.status)
        if tariff.id in self._ids():
            return refusal("DuplicateTariffId", tariff.id, "DuplicateTariffId")
        chosen = [evse_id] if evse_id else list(self._desk.evses)
        if any(len(self._defaults[n]) >= MOST_DEFAULTS for n in chosen):
            return refusal("OutOfMemory", "too many tariffs wait for their validFrom")
        one = Installed(told, tariff, tariff.valid_from or now.utc)
        for n in chosen:
            undated = [o for o in self._defaults[n] if o.tariff.valid_from is None]
            for other in undated if one.valid(now.utc) else ():  # I07.FR.20, .22
                self._remove(n, other)
            self._defaults[n].append(one)
            kept = {"told": told, "since": one.since.isoformat()}
            self._desk.save(SPACE, _key(n, one), kept)
            self._tidy(n, now)
        return {"status": "Accepted"}

    def _ids(self) -> set[str]:
        ids = {one.tariff.id for rows in self._defaults.values() for one in rows}
        return ids | {d.told["tariffId"] for d in self._drivers.values() if d.told}

    def _tidy(self, evse_id: int, now: Now) -> None:
        """What is valid replaces what was valid before it (I07.FR.20 to .23)."""
        valid = [one for one in self._defaults[evse_id] if one.valid(now.utc)]
        valid.sort(key=lambda one: one.since)  # of equals the newest stays last
        for one in valid[:-1]:
            self._remove(evse_id, one)

    def _remove(self, evse_id: int, one: Installed) -> None:
        self._defaults[evse_id].remove(one)
        self._desk.save(SPACE, _key(evse_id, one), None)

    def default(self, evse_id: int, now: Now) -> Payload | None:
        """The one that is valid now."""
        self._tidy(evse_id, now)
        valid = (o.told for o in self._defaults[evse_id] if o.valid(now.utc))
        return next(valid, None)

    # Drivers' tariffs.

    def offered(
        self, evse_id: int, token: Token, told: Payload | None, now: Now
    ) -> str:
        """What came with an accepted token that is to start a session (I08); why the
        token is refused for it, or ""."""
        self._drivers.pop(evse_id, None)
        if told is None or not self.enabled:
            return ""
        until = now.mono + self._desk.connect_s()
        tariff = self.check(told)
        if isinstance(tariff, Refused):
            self.problem(True, now, tariff.reason)
            return self._failed(evse_id, token, until)
        self.problem(False, now)
        plain = {k: v for k, v in told.items() if k != "validFrom"}  # I08.FR.10
        self._drivers[evse_id] = Driver(token.value, plain, until)
        return ""

    def _failed(self, evse_id: int, token: Token, until: float) -> str:
        rule = self._desk.model.text(CTRLR, "HandleFailedTariff", "Tariff")
        if rule == "Deauthorize":
            return "its tariff cannot be processed"
        if rule == "CentralCost":
            self._drivers[evse_id] = Driver(token.value, None, until)
        return ""

    def chosen(self, view: EvseView, now: Now) -> Payload | None:
        """What the driver there pays by: his own tariff, else the default one. Who is
        authorised without Authorize does not pay by the one before him."""
        if not self.enabled:
            return None
        evse_id = view.config.id
        driver = self._drivers.get(evse_id)
        session = view.session
        if session is not None and session.authorised and session.token is not None:
            driver = driver if driver and driver.token == session.token.value else None
        return driver.told if driver else self.default(evse_id, now)

    def keep(self, evse_id: int) -> None:
        """A transaction uses it: time alone does not end that (I08.FR.07)."""
        driver = self._drivers.get(evse_id)
        if driver is not None:
            driver.until_mono = math.inf

    def release(self, evse_id: int) -> None:
        """The transaction is over (I08.FR.06)."""
        self._drivers.pop(evse_id, None)

    def on_second(self, now: Now) -> None:
        for evse_id, driver in list(self._drivers.items()):
            view = self._desk.evses[evse_id]
            if now.mono >= driver.until_mono and not view.taken:
                self.release(evse_id)

    # What the CSMS asks.

    def get(self, request: Payload, now: Now) -> Answer:
        """GetTariffs (I09)."""
        if not self.enabled:
            return DISABLED
        evse_id = request["evseId"]
        if evse_id != 0 and evse_id not in self._desk.evses:
            return refusal("UnknownEvse", f"there is no EVSE {evse_id}")
        chosen = [evse_id] if evse_id else list(self._desk.evses)
        found: dict[tuple[str, str], Payload] = {}
        for n in chosen:
            self._tidy(n, now)
            for one in self._defaults[n]:
                row = _assigned(found, one.tariff.id, "DefaultTariff", n)
                if "validFrom" in one.told:
                    row["validFrom"] = one.told["validFrom"]
            driver = self._drivers.get(n)
            if driver is not None and driver.told is not None:
                row = _assigned(found, driver.told["tariffId"], "DriverTariff", n)
                row.setdefault("idTokens", []).append(driver.token)
        if not found:
            return {"status": "NoTariff"}
        return {"status": "Accepted", "tariffAssignments": list(found.values())}

    def clear(self, request: Payload, now: Now) -> Answer:
        """ClearTariffs (I10); a transaction goes on with what it has (I10.FR.07)."""
        if not self.enabled:
            return DISABLED
        evse_id, ids = request.get("evseId", 0), request.get("tariffIds")
        cleared: dict[str, None] = {}  # in order
        for n in [evse_id] if evse_id else list(self._desk.evses):
            for tariff_id in self._clear(n, ids):
                cleared[tariff_id] = None
        if not evse_id:
            self._cache.forget_tariffs(ids)
        results = [{"tariffId": one, "status": "Accepted"} for one in cleared]
        return {"clearTariffsResult": results or [{"status": "NoTariff"}]}

    def _clear(self, evse_id: int, ids: Iterable[str] | None) -> list[str]:
        cleared = []
        for one in list(self._defaults.get(evse_id, ())):
            if ids is None or one.tariff.id in ids:
                self._remove(evse_id, one)
                cleared.append(one.tariff.id)
        driver = self._drivers.get(evse_id)
        if driver is not None and driver.told is not None:
            number: str = driver.told["tariffId"]
            if ids is None or number in ids:
                self.release(evse_id)
                cleared.append(number)
        return cleared

    # Problems.

    def problem(self, present: bool, now: Now, tech_code: str = "") -> None:
        """Of a tariff or its cost; told when it changes (I08.FR.30, .35, I12.FR.18,
        .43). No monitor can be set on it: the event is always ours to send."""
        value = "true" if present else "false"
        if self._desk.model.text(CTRLR, "Problem") == value:
            return
        self._desk.model.update(CTRLR, "Problem", value)
        event: Payload = {
            "trigger": "Alerting",
            "actualValue": value,
            "component": {"name": CTRLR},
            "variable": {"name": "Problem"},
        }
        if tech_code:
            event["techCode"] = tech_code
        if not present:
            event["cleared"] = True
        self._desk.event(event, now)


def _key(evse_id: int, one: Installed) -> str:
    return f"{evse_id}/{one.tariff.id}"


def _assigned(
    found: dict[tuple[str, str], Payload], tariff_id: str, kind: str, evse_id: int
) -> Payload:
    row = found.setdefault(
        (kind, tariff_id), {"tariffId": tariff_id, "tariffKind": kind, "evseIds": []}
    )
    row["evseIds"].append(evse_id)
    return row
