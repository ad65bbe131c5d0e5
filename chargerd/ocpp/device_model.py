"""The device model: values of the one table, read by the code and by the CSMS.

Owns lookup, type and range checks, presets and the answers of GetVariables,
SetVariables and the reports (OCPP 2.x B05-B08). Never does I/O; what must survive a
restart comes back from `set` as (key, value) for the caller to save.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from chargerd.config import Config
from chargerd.ocpp.effects import OcppError, Payload
from chargerd.ocpp.table import TABLE
from chargerd.ocpp.table.row import Place, Row

_PRESET = re.compile(
    r"(?P<component>[^.@\[\]]+)"
    r"(?:@(?P<evse>\d+)(?::(?P<connector>\d+))?)?"
    r"\.(?P<variable>[^.@\[\]]+)(?:\[(?P<instance>[^\[\]]+)\])?"
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
_SHOW_NEAR = 3


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a value is not taken: a SetVariableStatus and a reason code."""

    status: str
    reason: str
    text: str


class Variable:
    """One instance of a table row. `value` is the OCPP string form."""

    __slots__ = ("connector_id", "evse_id", "high", "key", "low", "row", "value")

    def __init__(self, row: Row, place: Place) -> None:
        self.row = row
        self.evse_id = place.evse.id if place.evse else 0
        self.connector_id = place.connector.id if place.connector else 0
        self.low = row.low(place) if callable(row.low) else row.low
        self.high = row.high(place) if callable(row.high) else row.high
        self.value = row.default(place) if callable(row.default) else row.default
        self.key = _key(
            row.component, self.evse_id, self.connector_id, row.variable, row.instance
        )

    def check(self, value: str) -> Refused | None:
        """None when `value` fits type, range and list (B05.FR.07, B05.FR.08)."""
        row = self.row
        if row.kind in ("integer", "decimal"):
            return self._check_number(value)
        if row.kind == "boolean" and value not in ("true", "false"):
            return _bad(row, "InvalidValue", "use true or false")
        if row.kind == "OptionList" and value not in row.values:
            return _bad(row, "InvalidValue", f"use one of {', '.join(row.values)}")
        if row.kind in ("MemberList", "SequenceList") and row.values:
            wrong = [item for item in split(value) if item not in row.values]
            if wrong:
                return _bad(row, "InvalidValue", f"{wrong[0]!r} is not supported")
        if row.kind == "string" and self.high is not None and len(value) > self.high:
            return _bad(row, "TooLargeElement", f"at most {self.high:.0f} characters")
        return None

    def _check_number(self, value: str) -> Refused | None:
        row = self.row
        if row.kind == "integer" and not _INTEGER.fullmatch(value):
            return _bad(row, "InvalidValue", "use an integer")
        if row.kind == "decimal" and not _DECIMAL.fullmatch(value):
            return _bad(row, "InvalidValue", "use a decimal number")
        number = float(value)
        if self.low is not None and number < self.low:
            return _bad(row, "ValueTooLow", f"at least {self.low:g}")
        if self.high is not None and number > self.high:
            return _bad(row, "ValueTooHigh", f"at most {self.high:g}")
        return None

    def component(self) -> Payload:
        named: Payload = {"name": self.row.component}
        if self.evse_id:
            named["evse"] = {"id": self.evse_id}
            if self.connector_id:
                named["evse"]["connectorId"] = self.connector_id
        return named

    def report(self) -> Payload:
        """A ReportDataType element (B07)."""
        row = self.row
        named: Payload = {"name": row.variable}
        if row.instance:
            named["instance"] = row.instance
        attribute: Payload = {"type": "Actual", "mutability": row.mutability}
        if row.mutability != "WriteOnly":
            attribute["value"] = self.value
        attribute["persistent"] = not row.live
        attribute["constant"] = row.mutability == "ReadOnly" and not row.live
        traits: Payload = {"dataType": row.kind, "supportsMonitoring": False}
        if row.unit:
            traits["unit"] = row.unit
        if self.low is not None:
            traits["minLimit"] = self.low
        if self.high is not None:
            traits["maxLimit"] = self.high
        if row.values:
            traits["valuesList"] = ",".join(row.values)
        return {
            "component": self.component(),
            "variable": named,
            "variableAttribute": [attribute],
            "variableCharacteristics": traits,
        }


def split(value: str) -> list[str]:
    """The members of a list value."""
    return [item.strip() for item in value.split(",") if item.strip()]


def split_name(name: str) -> tuple[str, str]:
    """ "Variable[instance]" as its two parts; the instance may be missing."""
    variable, _, rest = name.partition("[")
    return variable, rest.removesuffix("]")


def _bad(row: Row, reason: str, text: str) -> Refused:
    return Refused("Rejected", reason, f"{row.component}.{row.variable}: {text}")


def _key(component: str, evse: int, connector: int, variable: str, inst: str) -> str:
    """The one textual name of a variable: Component@evse:connector.Variable[inst]."""
    at = f"@{evse}:{connector}" if connector else f"@{evse}" if evse else ""
    return f"{component}{at}.{variable}" + (f"[{inst}]" if inst else "")


class DeviceModel:
    """All variables of this station. Names match without regard to case."""

    def __init__(self, config: Config, saved: Mapping[str, object]) -> None:
        """`saved` holds values the CSMS set; they beat presets, which beat defaults.

        Raises OcppError naming every preset that is unknown or out of range. A saved
        value that no longer fits is left out: an update may narrow a range.
        """
        self._by_key: dict[str, Variable] = {}
        for row in TABLE:
            for place in _places(row, config):
                variable = Variable(row, place)
                self._by_key[variable.key.lower()] = variable
        self._components = {
            (v.row.component.lower(), v.evse_id, v.connector_id)
            for v in self._by_key.values()
        }
        self._preset(config.ocpp.device_model)
        for key, value in saved.items():
            found = self._by_key.get(key.lower())
            if found and isinstance(value, str) and found.check(value) is None:
                found.value = value

    def __iter__(self) -> Iterator[Variable]:
        return iter(self._by_key.values())

    def _preset(self, presets: Mapping[str, str | int | float | bool]) -> None:
        errors = []
        for name, raw in presets.items():
            value = str(raw).lower() if isinstance(raw, bool) else str(raw)
            targets = self._matching(name)
            if not targets:
                near = difflib.get_close_matches(
                    name, [v.key for v in self], _SHOW_NEAR, 0.5
                )
                hint = f"; near: {', '.join(near)}" if near else ""
                errors.append(f"ocpp.device_model: unknown variable {name!r}{hint}")
            for target in targets:
                refused = target.check(value)
                if refused:
                    errors.append(f"ocpp.device_model: {refused.text}, not {value!r}")
                elif target.row.live:
                    errors.append(f"ocpp.device_model: {name!r} is measured, not set")
                else:
                    target.value = value
        if errors:
            raise OcppError("\n".join(errors))

    def _matching(self, name: str) -> list[Variable]:
        """The variables a preset names; without "@evse" all EVSEs of the component."""
        match = _PRESET.fullmatch(name.strip())
        if not match:
            return []
        wanted = {k: (v or "").lower() for k, v in match.groupdict().items()}
        return [
            v
            for v in self
            if v.row.component.lower() == wanted["component"]
            and v.row.variable.lower() == wanted["variable"]
            and v.row.instance.lower() == wanted["instance"]
            and (not wanted["evse"] or int(wanted["evse"]) == v.evse_id)
            and (not wanted["connector"] or int(wanted["connector"]) == v.connector_id)
        ]

    # What the code reads.

    def text(
        self, component: str, variable: str, instance: str = "", evse_id: int = 0
    ) -> str:
        """The value as text. Raises OcppError for a name that is not in the table."""
        found = self._by_key.get(
            _key(component, evse_id, 0, variable, instance).lower()
        )
        if found is None:
            raise OcppError(f"no variable {component}.{variable}[{instance}]@{evse_id}")
        return found.value

    def only_instance(self, component: str, variable: str) -> str:
        """The instance of a station variable that has exactly one; "" otherwise."""
        found = {
            v.row.instance
            for v in self
            if (v.row.component, v.row.variable, v.evse_id) == (component, variable, 0)
        }
        return found.pop() if len(found) == 1 else ""

    def flag(self, component: str, variable: str, evse_id: int = 0) -> bool:
        return self.text(component, variable, evse_id=evse_id) == "true"

    def number(self, component: str, variable: str, instance: str = "") -> int:
        return int(self.text(component, variable, instance))

    def members(self, component: str, variable: str, evse_id: int = 0) -> list[str]:
        return split(self.text(component, variable, evse_id=evse_id))

    def update(
        self,
        component: str,
        variable: str,
        value: str,
        evse_id: int = 0,
        connector_id: int = 0,
        instance: str = "",
    ) -> None:
        """Store a live value that the code measured."""
        key = _key(component, evse_id, connector_id, variable, instance).lower()
        self._by_key[key].value = value

    # What the CSMS asks.

    def find(self, item: Payload) -> Variable | Refused:
        """The variable of a GetVariableData or SetVariableData element."""
        part, named = item["component"], item["variable"]
        at = part.get("evse", {})
        place = (part["name"].lower(), at.get("id", 0), at.get("connectorId", 0))
        if place not in self._components or part.get("instance"):
            return Refused("UnknownComponent", "NotFound", part["name"])
        key = _key(*place, named["name"], named.get("instance", "")).lower()
        found = self._by_key.get(key)
        if found is None:
            return Refused("UnknownVariable", "NotFound", named["name"])
        if item.get("attributeType", "Actual") != "Actual":
            return Refused("NotSupportedAttributeType", "UnsupportedParam", "Actual")
        return found

    def get(self, item: Payload) -> Payload:
        """One GetVariableResult (B06)."""
        found = self.find(item)
        if isinstance(found, Variable) and found.row.mutability == "WriteOnly":
            found = Refused("Rejected", "WriteOnly", found.row.variable)
        if isinstance(found, Refused):
            return _result(item, found)
        return {
            "attributeStatus": "Accepted",
            "attributeType": "Actual",
            "attributeValue": found.value,
            "component": item["component"],
            "variable": item["variable"],
        }

    def set(self, item: Payload) -> tuple[Payload, tuple[str, str] | None]:
        """One SetVariableResult (B05), and (key, value) to save when it was taken."""
        found = self.find(item)
        value = item["attributeValue"]
        if isinstance(found, Variable):
            refused = (
                Refused("Rejected", "ReadOnly", found.row.variable)
                if found.row.mutability == "ReadOnly"
                else found.check(value)
            )
            if refused is None:
                found.value = value
                status = "RebootRequired" if found.row.reboot else "Accepted"
                return _result(item, Refused(status, "", "")), (found.key, value)
            found = refused
        return _result(item, found), None

    def inventory(self, base: str) -> Iterable[Variable]:
        """Variables of a base report: Configuration, Full or Summary (B07, B08)."""
        if base == "SummaryInventory":
            return [v for v in self if v.row.summary]
        if base == "ConfigurationInventory":
            return [v for v in self if v.row.mutability != "ReadOnly"]
        return list(self)

    def select(self, wanted: list[Payload], criteria: list[str]) -> list[Variable]:
        """Variables of a GetReport: matching components, and any of `criteria` (B08).

        Available and Enabled hold for a component whose variable of that name is not
        "false" (B08.FR.13, .14); Problem for a Faulted one; Active for Occupied.
        """
        return [
            v
            for v in self
            if (not wanted or any(_covers(item, v) for item in wanted))
            and (not criteria or any(self._meets(name, v) for name in criteria))
        ]

    def _meets(self, criterion: str, variable: Variable) -> bool:
        def value(name: str) -> str | None:
            key = _key(
                variable.row.component,
                variable.evse_id,
                variable.connector_id,
                name,
                "",
            )
            found = self._by_key.get(key.lower())
            return found.value if found else None

        if criterion in ("Available", "Enabled"):
            return value(criterion) != "false"
        state = "Faulted" if criterion == "Problem" else "Occupied"
        return value("AvailabilityState") == state


def _covers(item: Payload, variable: Variable) -> bool:
    part, row = item["component"], variable.row
    at = part.get("evse", {})
    named = item.get("variable")
    return bool(
        part["name"].lower() == row.component.lower()
        and not part.get("instance")
        and at.get("id", variable.evse_id) == variable.evse_id
        and at.get("connectorId", variable.connector_id) == variable.connector_id
        and (not named or named["name"].lower() == row.variable.lower())
        and (not named or named.get("instance", row.instance) == row.instance)
    )


def _result(item: Payload, outcome: Refused) -> Payload:
    result: Payload = {
        "attributeStatus": outcome.status,
        "attributeType": item.get("attributeType", "Actual"),
        "component": item["component"],
        "variable": item["variable"],
    }
    if outcome.reason:
        result["attributeStatusInfo"] = {
            "reasonCode": outcome.reason,
            "additionalInfo": outcome.text[:500],
        }
    return result


def _places(row: Row, config: Config) -> Iterator[Place]:
    if row.scope == "station":
        yield Place(config)
        return
    for evse in config.evse:
        if row.scope == "evse":
            yield Place(config, evse)
        else:
            for connector in evse.connectors:
                yield Place(config, evse, connector)
