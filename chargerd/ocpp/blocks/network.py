"""Which central system is tried next: the network connection profiles in order (B10).

Owns `connection()`, which the shell asks before each attempt. The last profile that
worked is kept as it was and tried too when all others fail, so that no change of
settings can strand the station. Never stops trying.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk
from chargerd.ocpp.blocks.security import RECONFIGURED
from chargerd.ocpp.connection import Connection
from chargerd.ocpp.table import network as table

PRIORITY = "NetworkConfigurationPriority"


@dataclass(frozen=True, slots=True)
class Kept:
    """A profile that worked, as it was then."""

    slot: int
    url: str
    identity: str
    security_profile: int
    password: str

    @classmethod
    def read(cls, saved: Any) -> Kept | None:
        try:
            return cls(**saved)
        except TypeError:
            return None


class NetworkProfiles(Block):
    def __init__(self, desk: Desk) -> None:
        """Raises OcppError for an address in the config file that is refused."""
        self._desk = desk
        config, station = desk.config.ocpp, desk.config.station
        self._configured = Connection.of(config, station.id)
        if config.url:
            self._configured.address()
        saved = desk.saved.get("network", {})
        self._follow_config(saved.get("config"))
        self._last = Kept.read(saved.get("last"))
        self._trying: Kept | None = None  # the last one that worked, out of its slot
        self._slot = self._order()[0]
        self._failures = 0
        self._linked: Kept | None = None  # since the start
        self._strayed = False  # another system was tried since the last link
        self.rounds = 0  # of all profiles, in vain, since the last link
        self.switched = False  # the link that just came up is to another system

    def _follow_config(self, known: str | None) -> None:
        """Who edits the config file means it: it beats what the CSMS had set."""
        made = self._configured
        words = [made.url, made.identity, made.security_profile, made.password]
        digest = hashlib.sha256(json.dumps(words).encode()).hexdigest()
        if digest == known:
            return
        self._desk.save("network", "config", digest)
        if known is None:
            return
        self.fill("1", {
            "OcppCsmsUrl": made.url,
            "Identity": made.identity,
            "SecurityProfile": str(made.security_profile),
            "BasicAuthPassword": made.password,
        })  # fmt: skip
        others = [slot for slot in self.priority() if slot != "1"]
        self._keep("OCPPCommCtrlr", PRIORITY, ",".join(["1", *others]))

    # What the shell tries.

    def connection(self) -> Connection:
        """The profile for the next attempt."""
        kept = self._chosen()
        return replace(
            self._configured,
            url=kept.url,
            identity=kept.identity,
            security_profile=kept.security_profile,
            password=kept.password,
            slot=kept.slot,
        )

    def _chosen(self) -> Kept:
        return self._trying or self.of_slot(self._slot)

    @property
    def migrating(self) -> bool:
        """The next attempt is to another system than the last one that worked."""
        return self._last is not None and self._chosen().url != self._last.url

    @property
    def returning(self) -> bool:
        """Back to the system that worked, after another one did not."""
        return self._strayed and not self.migrating

    def of_slot(self, slot: int | str) -> Kept:
        read = self._desk.model.text
        name = table.component(slot)
        return Kept(
            int(slot),
            read(name, "OcppCsmsUrl"),
            read(name, "Identity"),
            int(read(name, "SecurityProfile")),
            read(name, "BasicAuthPassword"),
        )

    def priority(self) -> list[str]:
        """The slots to try, best first."""
        return self._desk.model.members("OCPPCommCtrlr", PRIORITY)

    def _order(self) -> list[int]:
        filled = [int(slot) for slot in self.priority() if self.of_slot(int(slot)).url]
        return filled or [1]

    def unreachable(self, now: Now) -> None:
        """An attempt failed: after enough of them the next profile (B10.FR.03)."""
        self._failures += 1
        self._strayed = self._strayed or self.migrating
        most = self._desk.model.number(
            "OCPPCommCtrlr", "NetworkProfileConnectionAttempts"
        )
        if self._failures < most:
            return
        self._failures = 0
        order = self._order()
        if self._trying is not None:
            self._trying, self._slot = None, order[0]  # all over again (B10.FR.08)
            self.rounds += 1
            return
        at = order.index(self._slot) + 1 if self._slot in order else 0
        if at < len(order):
            self._slot = order[at]
            return
        self._slot = order[0]
        self.rounds += 1
        if self._last and self._last not in [self.of_slot(slot) for slot in order]:
            self._trying = self._last  # B10.FR.07

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        self._failures = 0
        if not up:
            return
        self._strayed, self.rounds = False, 0
        kept = self._chosen()
        before, self._linked = self._linked, kept
        # Another password is no other system.
        self.switched = before is not None and (before.slot, before.url) != (
            kept.slot,
            kept.url,
        )
        if kept != self._last:
            self._tell_security(kept, now)
            self._last = kept
            self._desk.save("network", "last", asdict(kept))
        self._show(kept)
        self._drop_lower(kept.security_profile)

    def _tell_security(self, kept: Kept, now: Now) -> None:
        """Into the security log (A04.FR.04): another security profile is in use."""
        if self._last and self._last.security_profile != kept.security_profile:
            text = f"security profile {kept.security_profile} is in use"
            self._desk.security_event(RECONFIGURED, now, text)

    def _show(self, kept: Kept) -> None:
        """The variables of the profile in use (B09.FR.28)."""
        model = self._desk.model
        timeout = model.text(table.component(kept.slot), "MessageTimeout")
        model.update("OCPPCommCtrlr", "ActiveNetworkProfile", str(kept.slot))
        model.update("OCPPCommCtrlr", "MessageTimeout", timeout, instance="Default")
        model.update("SecurityCtrlr", "SecurityProfile", str(kept.security_profile))
        self._keep("SecurityCtrlr", "Identity", kept.identity)
        self._keep("SecurityCtrlr", "BasicAuthPassword", kept.password)

    def _drop_lower(self, security_profile: int) -> None:
        """No way back to a lower security profile once a higher works (A05.FR.06)."""
        lower = []
        for slot in table.SLOTS:
            profile = self.of_slot(slot)
            if profile.url and profile.security_profile < security_profile:
                lower.append(slot)
        for slot in lower:
            self.fill(slot, {"OcppCsmsUrl": ""})
        left = [slot for slot in self.priority() if slot not in lower]
        if left and len(left) < len(self.priority()):
            self._keep("OCPPCommCtrlr", PRIORITY, ",".join(left))

    def _keep(self, component: str, variable: str, value: str) -> None:
        found = self._desk.model.variable(component, variable)
        if found.value != value:
            self._desk.keep(found, value)

    def fill(self, slot: str, values: Mapping[str, str]) -> None:
        """Set variables of a slot for good."""
        for name, value in values.items():
            self._keep(table.component(slot), name, value)
