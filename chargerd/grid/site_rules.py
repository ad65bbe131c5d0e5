"""The numbers that every charger of a site shares, and why they keep it under its fuse.

Pure values. Argument (docs/site.md): a lease ends for its holder before it ends for
its giver; a member follows one coordinator at a time; more than half of the members
must follow a coordinator before it gives, and a lease time must then have passed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from chargerd.config_grid import SiteBus

DRIFT = 0.01  # two clocks may run this much apart


@dataclass(frozen=True, slots=True)
class Rules:
    """From `[grid.site]`; the same on every charger of the site."""

    members: tuple[str, ...]
    coordinators: tuple[str, ...]  # best first
    safe_w: float  # each member's, without a lease
    charge_w: float  # all members together
    discharge_w: float
    lease_s: float
    fall_s: float  # from a cut to power that has followed

    @property
    def digest(self) -> str:
        """Of what must be the same on every station, or the sum is not kept."""
        shared = (
            self.members,
            self.coordinators,
            self.safe_w,
            self.lease_s,
            self.fall_s,
        )
        return hashlib.sha256(repr(shared).encode()).hexdigest()[:16]

    @property
    def votes_needed(self) -> int:
        """Members that must follow a coordinator before it may give."""
        if len(self.coordinators) == 1:
            return 0
        return len(self.members) // 2 + 1


def rules(config: SiteBus) -> Rules:
    """The part of the configuration that the cores need."""
    return Rules(
        config.members,
        config.coordinators,
        config.safe_w,
        config.charge_w,
        config.discharge_w,
        config.lease_s,
        config.fall_s,
    )
