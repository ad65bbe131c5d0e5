"""The device model: values of the one table, read by the code and by the CSMS.

Owns lookup, presets and the answers of GetVariables, SetVariables and the reports
(OCPP 2.x B05-B08). Never does I/O; what must survive a restart is the caller's to save.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

from chargerd.config import Config
from chargerd.ocpp.effects import OcppError, Payload
from chargerd.ocpp.table import TABLE
from chargerd.ocpp.table.conditions import CONDITIONS
from chargerd.ocpp.table.row import Place, Row
from chargerd.ocpp.variable import Refused, Variable, key, split

_PRESET = re.compile(
    r"(?P<component>[^.@\[\]]+(?:\[[^\[\]]+\])?)"
    r"(?:@(?P<evse>\d+)(?::(?P<connector>\d+))?)?"
    r"\.(?P<variable>[^.@#\[\]]+)(?:\[(?P<instance>[^\[\]]+)\])?"
    r"(?:#(?P<attribute>\w+))?"
)
_SHOW_NEAR = 3


class DeviceModel:
    """All variables of this station. Names match without regard to case.

    Where the code names a component it may add its instance: "NetworkConfiguration[1]".
    """

    def __init__(self, config: Config, saved: Mapping[str, object]) -> None:
        """`saved` holds values the CSMS set; they beat presets, which beat defaults.

        Raises OcppError naming every preset that is unknown or out of range. A saved
        value that no longer fits is left out: an update may narrow a range.
        """
        self._by_key: dict[str, Variable] = {}
        for row in TABLE:
            for place in _places(row, config):
                if row.only is not None and not row.only(place):
                    continue
                variable = Variable(row, place)
                self._by_key[variable.key.lower()] = variable
        self._components = {_component_key(v) for v in self}
        self._preset(config.ocpp.device_model)
        for name, value in saved.items():
            plain, _, attribute = name.partition("#")
            found = self._by_key.get(plain.lower())
            attribute = attribute or "Actual"
            if found is None or not isinstance(value, str):
                continue
            if attribute in found.values and found.check(value) is None:
                found.values[attribute] = value

    def __iter__(self) -> Iterator[Variable]:
        return iter(self._by_key.values())

    def _preset(self, presets: Mapping[str, str | int | float | bool]) -> None:
        errors = []
        for name, raw in presets.items():
            value = str(raw).lower() if isinstance(raw, bool) else str(raw)
            targets = self.matching(name)
            if not targets:
                near = difflib.get_close_matches(
                    name, [v.key for v in self], _SHOW_NEAR, 0.5
                )
                hint = f"; near: {', '.join(near)}" if near else ""
                errors.append(f"ocpp.device_model: unknown variable {name!r}{hint}")
            for target, attribute in targets:
                refused = target.check(value)
                if target.row.live:
                    errors.append(f"ocpp.device_model: {name!r} is measured, not set")
                elif refused:
                    errors.append(f"ocpp.device_model: {refused.text}, not {value!r}")
                else:
                    target.values[attribute] = value
        if errors:
            raise OcppError("\n".join(dict.fromkeys(errors)))  # not once an EVSE

    def matching(self, name: str) -> list[tuple[Variable, str]]:
        """What a name in the config file means, with its attribute; without "@evse"
        all EVSEs of the component."""
        match = _PRESET.fullmatch(name.strip())
        if not match:
            return []
        attribute = match["attribute"] or "Actual"
        wanted = {k: (v or "").lower() for k, v in match.groupdict().items()}
        return [
            (v, attribute)
            for v in self
            if v.row.component.lower() == wanted["component"]
            and v.row.variable.lower() == wanted["variable"]
            and v.row.instance.lower() == wanted["instance"]
            and (not wanted["evse"] or int(wanted["evse"]) == v.evse_id)
            and (not wanted["connector"] or int(wanted["connector"]) == v.connector_id)
            and attribute in v.values
        ]

    # What the code reads and measures.

    def variable(
        self,
        component: str,
        variable: str,
        instance: str = "",
        evse_id: int = 0,
        connector_id: int = 0,
    ) -> Variable:
        """Raises OcppError for a name that is not in the table."""
        name = key(component, evse_id, connector_id, variable, instance)
        found = self._by_key.get(name.lower())
        if found is None:
            raise OcppError(f"no variable {name}")
        return found

    def has(
        self, component: str, variable: str, evse_id: int = 0, connector_id: int = 0
    ) -> bool:
        name = key(component, evse_id, connector_id, variable, "")
        return name.lower() in self._by_key

    def text(
        self, component: str, variable: str, instance: str = "", evse_id: int = 0
    ) -> str:
        """The value as text. Raises OcppError for a name that is not in the table."""
        return self.variable(component, variable, instance, evse_id).value

    def flag(
        self, component: str, variable: str, evse_id: int = 0, *, instance: str = ""
    ) -> bool:
        return self.text(component, variable, instance, evse_id) == "true"

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
        attribute: str = "Actual",
    ) -> None:
        """Store a live value that the code measured."""
        found = self.variable(component, variable, instance, evse_id, connector_id)
        found.values[attribute] = value

    # What the CSMS asks.

    def find(self, item: Payload) -> Variable | Refused:
        """The variable of a GetVariableData or SetVariableData element, which has the
        attribute that is asked for."""
        part, named = item["component"], item["variable"]
        at = part.get("evse", {})
        instance = part.get("instance", "")
        component = part["name"] + (f"[{instance}]" if instance else "")
        place = (component, at.get("id", 0), at.get("connectorId", 0))
        if key(*place, "", "").lower() not in self._components:
            return Refused("UnknownComponent", "NotFound", component)
        name = key(*place, named["name"], named.get("instance", ""))
        found = self._by_key.get(name.lower())
        if found is None:
            return Refused("UnknownVariable", "NotFound", named["name"])
        attribute = item.get("attributeType", "Actual")
        if attribute not in found.values:
            return Refused("NotSupportedAttributeType", "UnsupportedParam", attribute)
        return found

    def get(self, item: Payload) -> Payload:
        """One GetVariableResult (B06)."""
        found = self.find(item)
        attribute = item.get("attributeType", "Actual")
        if isinstance(found, Variable) and found.mutability(attribute) == "WriteOnly":
            found = Refused("Rejected", "WriteOnly", found.row.variable)
        if isinstance(found, Refused):
            return result(item, found)
        return {
            "attributeStatus": "Accepted",
            "attributeType": attribute,
            "attributeValue": found.values[attribute],
            "component": item["component"],
            "variable": item["variable"],
        }

    def settable(self, item: Payload) -> Variable | Refused:
        """The variable that this SetVariableData may set to this value (B05)."""
        found = self.find(item)
        if isinstance(found, Refused):
            return found
        if found.mutability(item.get("attributeType", "Actual")) == "ReadOnly":
            return Refused("Rejected", "ReadOnly", found.row.variable)
        return found.check(item["attributeValue"]) or found

    def inventory(self, base: str) -> Iterable[Variable]:
        """Variables of a base report: Configuration, Full or Summary (B07)."""
        if base == "SummaryInventory":
            return [v for v in self if v.row.summary or _abnormal(v)]
        if base == "ConfigurationInventory":
            return [v for v in self if v.settable]
        return list(self)

    def select(self, wanted: list[Payload], criteria: list[str]) -> list[Variable]:
        """Variables of a GetReport: matching components, and any of `criteria` (B08).

        Active, Available and Enabled hold for a component that has no variable of that
        name too; Problem only where there is one (B08.FR.07 to .10).
        """
        chosen = [
            v for v in self if not wanted or any(covers(item, v) for item in wanted)
        ]
        if not criteria:
            return chosen
        return [v for v in chosen if any(self._meets(name, v) for name in criteria)]

    def _meets(self, criterion: str, variable: Variable) -> bool:
        at = (variable.row.component, variable.evse_id, variable.connector_id)
        found = self._by_key.get(key(*at, criterion, "").lower())
        if found is None:
            return criterion != "Problem"
        return found.value == "true"


def _component_key(variable: Variable) -> str:
    row = variable.row
    return key(row.component, variable.evse_id, variable.connector_id, "", "").lower()


def _abnormal(variable: Variable) -> bool:
    row = variable.row
    return row.variable in CONDITIONS and row.live and variable.value == "true"


def covers(item: Payload, variable: Variable) -> bool:
    """What is left out of `item` matches all (B08.FR.20 to .25)."""
    part, row = item["component"], variable.row
    at = part.get("evse", {})
    named = item.get("variable")
    instance = part.get("instance", variable.component_instance)
    return bool(
        part["name"].lower() == variable.component_name.lower()
        and instance.lower() == variable.component_instance.lower()
        and at.get("id", variable.evse_id) == variable.evse_id
        and at.get("connectorId", variable.connector_id) == variable.connector_id
        and (not named or named["name"].lower() == row.variable.lower())
        and (
            not named
            or named.get("instance", row.instance).lower() == row.instance.lower()
        )
    )


def result(item: Payload, outcome: Refused) -> Payload:
    """A GetVariableResult or SetVariableResult without value."""
    made: Payload = {
        "attributeStatus": outcome.status,
        "attributeType": item.get("attributeType", "Actual"),
        "component": item["component"],
        "variable": item["variable"],
    }
    if outcome.reason:
        made["attributeStatusInfo"] = {
            "reasonCode": outcome.reason,
            "additionalInfo": outcome.text[:500],
        }
    return made


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
