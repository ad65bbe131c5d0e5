"""Blocks A01, A04, A05: a new password is used at once; what was changed is logged.

Owns the reaction to new credentials and the log lines about them; a value is never
shown. The log itself is `desk.security_event`'s, the profiles are `network.py`'s.
"""

from __future__ import annotations

from chargerd import __version__
from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk
from chargerd.ocpp.effects import Reconnect
from chargerd.ocpp.variable import Variable

RECONFIGURED = "ReconfigurationOfSecurityParameters"
_WATCHED = frozenset({"BasicAuthPassword", "Identity", "SecurityProfile"})
_WITH_PASSWORD = (1, 2)  # security profiles


class Security(Block):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def begin(self, now: Now) -> None:
        """Another firmware than at the last start, installed by whomever: of updates by
        OCPP `firmware.py` tells."""
        firmware = self._desk.config.station.firmware or __version__
        before = self._desk.saved.get("security", {}).get("firmware")
        if before == firmware:
            return
        self._desk.save("security", "firmware", firmware)
        by_ocpp = self._desk.saved.get("boot", {}).get("reason") == "FirmwareUpdate"
        if before is not None and not by_ocpp:
            text = f"{before} to {firmware}"
            self._desk.security_event("FirmwareUpdated", now, text)

    def noticed(self, kind: str, info: str, now: Now) -> None:
        """The shell or the house has noticed something."""
        self._desk.security_event(kind, now, info)
        if kind == "InvalidCsmsCertificate":
            self._desk.security_event("CsmsFailedToAuthenticate", now, info)

    def variable_set(self, variable: Variable, now: Now) -> None:
        """A01: after the answer the station comes back with the new password. What the
        last link had is tried again when that fails (`network.py`)."""
        name, component = variable.row.variable, variable.component_name
        if component == "SecurityCtrlr" or name in _WATCHED:
            where = variable.row.component
            self._desk.security_event(RECONFIGURED, now, f"{where}.{name}")
        if (component, name) != ("SecurityCtrlr", "BasicAuthPassword"):
            return
        profile = self._desk.model.number("SecurityCtrlr", "SecurityProfile")
        if self._desk.online and profile in _WITH_PASSWORD:
            self._desk.effects.append(Reconnect("the password is new"))
