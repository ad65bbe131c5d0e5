"""One variable of the device model: its attributes' values, checks, and its report.

Owns what a value may be (B05.FR.07, .08) and how a variable is named in text:
"Component[instance]@evse:connector.Variable[instance]#Attribute".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chargerd.ocpp.effects import Payload
from chargerd.ocpp.table.row import Mutability, Place, Row

_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a value is not taken: a SetVariableStatus and a reason code."""

    status: str
    reason: str
    text: str


class Variable:
    """One instance of a table row. Values are in their OCPP string form."""

    __slots__ = (
        "component_instance", "component_name", "connector_id", "evse_id", "high",
        "key", "low", "row", "values",
    )  # fmt: skip

    def __init__(self, row: Row, place: Place) -> None:
        self.row = row
        self.component_name, self.component_instance = split_name(row.component)
        self.evse_id = place.evse.id if place.evse else 0
        self.connector_id = place.connector.id if place.connector else 0
        self.low = row.low(place) if callable(row.low) else row.low
        self.high = row.high(place) if callable(row.high) else row.high
        self.values = {"Actual": _default(row.default, place)}  # by attribute
        for more in row.more:
            self.values[more.attribute] = _default(more.default, place)
        self.key = key(
            row.component, self.evse_id, self.connector_id, row.variable, row.instance
        )

    @property
    def value(self) -> str:
        return self.values["Actual"]

    @value.setter
    def value(self, value: str) -> None:
        self.values["Actual"] = value

    def key_of(self, attribute: str) -> str:
        """Under which its value is kept on disk."""
        return self.key if attribute == "Actual" else f"{self.key}#{attribute}"

    def mutability(self, attribute: str) -> Mutability:
        for more in self.row.more:
            if more.attribute == attribute:
                return more.mutability
        return self.row.mutability

    @property
    def settable(self) -> bool:
        """Whether the CSMS can set any of its attributes."""
        return any(self.mutability(name) != "ReadOnly" for name in self.values)

    def check(self, value: str) -> Refused | None:
        """None when `value` fits type, range and list (B05.FR.07, B05.FR.08)."""
        row = self.row
        if row.kind in ("integer", "decimal"):
            return self._check_number(value)
        if row.kind == "boolean" and value not in ("true", "false"):
            return self._bad("InvalidValue", "use true or false")
        if row.kind == "OptionList" and value not in row.values:
            return self._bad("InvalidValue", f"use one of {', '.join(row.values)}")
        if row.kind in ("MemberList", "SequenceList") and row.values:
            return self._check_members(split(value))
        if row.kind == "string" and self.high is not None and len(value) > self.high:
            return self._bad("TooLargeElement", f"at most {self.high:.0f} characters")
        if row.kind == "string" and self.low is not None and len(value) < self.low:
            return self._bad("InvalidValue", f"at least {self.low:.0f} characters")
        return None

    def _check_members(self, items: list[str]) -> Refused | None:
        for item in items:
            if item not in self.row.values:
                return self._bad("InvalidValue", f"{item!r} is not supported")
        if len(set(items)) < len(items):
            return self._bad("InvalidValue", "a member comes twice")
        return None

    def _check_number(self, value: str) -> Refused | None:
        row = self.row
        if row.kind == "integer" and not _INTEGER.fullmatch(value):
            return self._bad("InvalidValue", "use an integer")
        if row.kind == "decimal" and not _DECIMAL.fullmatch(value):
            return self._bad("InvalidValue", "use a decimal number")
        number = float(value)
        if self.low is not None and number < self.low:
            return self._bad("ValueTooLow", f"at least {self.low:g}")
        if self.high is not None and number > self.high:
            return self._bad("ValueTooHigh", f"at most {self.high:g}")
        return None

    def _bad(self, reason: str, text: str) -> Refused:
        named = f"{self.row.component}.{self.row.variable}"
        return Refused("Rejected", reason, f"{named}: {text}")

    def component(self) -> Payload:
        """A ComponentType."""
        named: Payload = {"name": self.component_name}
        if self.component_instance:
            named["instance"] = self.component_instance
        if self.evse_id:
            named["evse"] = {"id": self.evse_id}
            if self.connector_id:
                named["evse"]["connectorId"] = self.connector_id
        return named

    def named(self) -> Payload:
        """A VariableType."""
        named: Payload = {"name": self.row.variable}
        if self.row.instance:
            named["instance"] = self.row.instance
        return named

    def report(self) -> Payload:
        """A ReportDataType element (B07): every attribute, also one without value."""
        row = self.row
        traits: Payload = {"dataType": row.kind, "supportsMonitoring": row.monitored}
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
            "variable": self.named(),
            "variableAttribute": [self._attribute(name) for name in self.values],
            "variableCharacteristics": traits,
        }

    def _attribute(self, name: str) -> Payload:
        mutability, live = self.mutability(name), self.row.live
        attribute: Payload = {"type": name, "mutability": mutability}
        if mutability != "WriteOnly":
            attribute["value"] = self.values[name]
        attribute["persistent"] = not live
        attribute["constant"] = mutability == "ReadOnly" and not live
        return attribute


def _default(default: object, place: Place) -> str:
    return str(default(place) if callable(default) else default)


def split(value: str) -> list[str]:
    """The members of a list value."""
    return [item.strip() for item in value.split(",") if item.strip()]


def split_name(name: str) -> tuple[str, str]:
    """ "Name[instance]" as its two parts; the instance may be missing."""
    plain, _, rest = name.partition("[")
    return plain, rest.removesuffix("]")


def key(component: str, evse: int, connector: int, variable: str, inst: str) -> str:
    """The one textual name of a variable; `component` may carry its instance."""
    at = f"@{evse}:{connector}" if connector else f"@{evse}" if evse else ""
    return f"{component}{at}.{variable}" + (f"[{inst}]" if inst else "")
