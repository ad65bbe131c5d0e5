"""What the CSMS may change about the network connection profiles (B09, B10).

Owns the answer of SetNetworkProfile and the guards of NetworkConfiguration and of its
priority. Changes count from the next attempt to connect on; which one that is, and what
happens when it fails, is `network.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Guard, Handler
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.blocks.network import PRIORITY, NetworkProfiles
from chargerd.ocpp.blocks.security import RECONFIGURED
from chargerd.ocpp.connection import TLS_PROFILE, refused_url
from chargerd.ocpp.effects import Answer, Payload
from chargerd.ocpp.table import network as table
from chargerd.ocpp.variable import Refused, Variable, split

BAD_PROFILE = "InvalidNetworkConf"
NO_DOWNGRADE = "NoSecurityDowngrade"
_FIELDS = {  # NetworkConnectionProfileType -> variable
    "ocppCsmsUrl": "OcppCsmsUrl",
    "ocppInterface": "OcppInterface",
    "ocppTransport": "OcppTransport",
    "ocppVersion": "OcppVersion",
    "messageTimeout": "MessageTimeout",
    "securityProfile": "SecurityProfile",
    "identity": "Identity",
    "basicAuthPassword": "BasicAuthPassword",
}


class NetworkSettings(Block):
    def __init__(
        self, desk: Desk, network: NetworkProfiles, lacks: Callable[[int], str]
    ) -> None:
        """`lacks`: what a security profile still lacks, "" = nothing (A05.FR.02)."""
        self._desk = desk
        self._network = network
        self._lacks = lacks

    def routes(self) -> Mapping[str, Handler]:
        return {"SetNetworkProfile": self.set_profile}

    def set_profile(self, request: Payload, now: Now) -> Answer:
        """SetNetworkProfile (B09). It counts from the next attempt to connect on."""
        slot, data = str(request["configurationSlot"]), request["connectionData"]
        if slot not in table.SLOTS:
            text = f"slots are {', '.join(table.SLOTS)}"
            return refusal("InvalidConfSlot", text)
        wished = int(data["securityProfile"])
        if self._downgrades(wished):
            return refusal(NO_DOWNGRADE, f"{self._active_profile()} is in use")
        for field in ("apn", "vpn"):
            if field in data:
                text = f"{field}: the operating system's, not set here"
                return refusal(BAD_PROFILE, text)
        values = {
            variable: str(data[field])
            for field, variable in _FIELDS.items()
            if field in data
        }
        wrong = refused_url(values["OcppCsmsUrl"], wished) or self._misfit(slot, values)
        if wrong:
            return refusal(BAD_PROFILE, wrong)
        if self._desk.disk_broken:  # B09.FR.03
            return refusal("OutOfStorage", "the disk takes nothing", "Failed")
        self._network.fill(slot, values)
        self._desk.security_event(RECONFIGURED, now, f"network profile {slot}")
        return {"status": "Accepted"}

    def _misfit(self, slot: str, values: Mapping[str, str]) -> str:
        """Why values do not fit their variables, "" = they do."""
        for name, value in values.items():
            variable = self._desk.model.variable(table.component(slot), name)
            refused = variable.check(value) or _bad_secret(variable, value)
            if refused:
                return refused.text
        return ""

    def _active_profile(self) -> int:
        return self._desk.model.number("SecurityCtrlr", "SecurityProfile")

    def _downgrades(self, security_profile: int) -> bool:
        """Down is only from 3 to 2, and only where that is allowed (B09.FR.04, .31)."""
        active = self._active_profile()
        if security_profile >= active:
            return False
        allowed = self._desk.model.flag(
            "SecurityCtrlr", "AllowSecurityProfileDowngrade"
        )
        return not (allowed and security_profile >= TLS_PROFILE)

    def guards(self) -> Mapping[str, Guard]:
        slots = {
            f"NetworkConfiguration.{variable}": self._may_set
            for variable in _FIELDS.values()
        }
        return {
            f"OCPPCommCtrlr.{PRIORITY}": self._may_prioritise,
            "SecurityCtrlr.Identity": _bad_secret,
            "SecurityCtrlr.BasicAuthPassword": _bad_secret,
            **slots,
        }

    def _may_set(self, variable: Variable, value: str) -> Refused | None:
        """One variable of a slot (B09.FR.22 to .25, .35)."""
        if variable.component_instance in self._network.priority():
            text = f"slot {variable.component_instance} is in {PRIORITY}"
            return Refused("Rejected", BAD_PROFILE, text)
        name = variable.row.variable
        if name == "SecurityProfile" and self._downgrades(int(value)):
            text = f"{self._active_profile()} is in use"
            return Refused("Rejected", NO_DOWNGRADE, text)
        if name == "OcppCsmsUrl" and value:
            wrong = refused_url(value, 0)  # with its profile it is checked when chosen
            return Refused("Rejected", BAD_PROFILE, wrong) if wrong else None
        return _bad_secret(variable, value)

    def _may_prioritise(self, variable: Variable, value: str) -> Refused | None:
        """B10.FR.01, .02; who only takes slots away needs no check (B09.FR.20)."""
        wished, now = split(value), self._network.priority()
        if not wished:
            return Refused("Rejected", "MissingParam", "at least one slot")
        if wished == [slot for slot in now if slot in wished]:
            return None
        for slot in wished:
            profile = self._network.of_slot(slot)
            if self._downgrades(profile.security_profile):
                return Refused("Rejected", NO_DOWNGRADE, f"slot {slot}")
            wrong = refused_url(profile.url, profile.security_profile)
            wrong = wrong or self._lacks(profile.security_profile)
            if wrong:
                return Refused("Rejected", BAD_PROFILE, f"slot {slot}: {wrong}")
        return None

    def variable_set(self, variable: Variable, now: Now) -> None:
        """The two old names stand for all slots (B09.FR.26, .27)."""
        row = variable.row
        if row.component == "SecurityCtrlr" and row.variable in (
            "Identity",
            "BasicAuthPassword",
        ):
            for slot in table.SLOTS:
                self._network.fill(slot, {row.variable: variable.value})


def _bad_secret(variable: Variable, value: str) -> Refused | None:
    """Rules of A00.FR.204 and .205; never shows the value."""
    name = variable.row.variable
    if name == "Identity" and (":" in value or not value.isprintable()):
        text = 'Identity: without ":" and control characters'
        return Refused("Rejected", "InvalidValue", text)
    if name == "BasicAuthPassword" and len(value) < table.MIN_PASSWORD:
        text = (
            f"BasicAuthPassword: {table.MIN_PASSWORD} to {table.MAX_PASSWORD} letters"
        )
        return Refused("Rejected", "InvalidValue", text)
    return None
