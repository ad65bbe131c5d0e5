"""Makes the session of the protocol that was agreed on, for one connector.

Owns what a session that paused leaves for the next one of the same plug-in. Must
never hold a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chargerd.clock import Now
from chargerd.vehicle.iso15118 import sap
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.din import DinSession
from chargerd.vehicle.iso15118.secc.flow import RandomBytes, Session
from chargerd.vehicle.iso15118.secc.iso2 import Iso2Session
from chargerd.vehicle.iso15118.secc.iso2_course import Paused as Iso2Paused
from chargerd.vehicle.iso15118.secc.iso20 import Iso20Session
from chargerd.vehicle.iso15118.secc.iso20_course import Paused as Iso20Paused
from chargerd.vehicle.iso15118.secc.station import Energy, Setup

# Each namespace of ISO 15118-20 has its own services.
_ISO20 = {
    sap.ISO20_AC: {Energy.AC, Energy.AC_BPT},
    sap.ISO20_DC: {Energy.DC, Energy.DC_BPT, Energy.MCS, Energy.MCS_BPT},
}
# The configuration's name, the protocol, and what of it the connector must have.
_PROTOCOLS = (
    ("din70121", sap.DIN, {Energy.DC}),
    ("iso15118-2", sap.ISO2, {Energy.AC, Energy.DC}),
    ("iso15118-20", sap.ISO20_AC, _ISO20[sap.ISO20_AC]),
    ("iso15118-20", sap.ISO20_DC, _ISO20[sap.ISO20_DC]),
)


class Sessions:
    """One connector's: at most one session runs at a time."""

    def __init__(
        self,
        setup: Setup,
        random: RandomBytes,
        now: Callable[[], Now],
        trust: Callable[[], Trust] | None = None,
    ) -> None:
        """`trust`: the roots for contracts as they are now; None = as `setup` says."""
        self._trust = trust
        self._setup, self._random, self._now = setup, random, now
        self._last: Session | None = None
        self._protocol = sap.ISO2  # of the last session
        self._broken: set[sap.Protocol] = set()

    def make(
        self,
        protocol: sap.Protocol,
        now_mono: float,
        *,
        tls: bool,
        vehicle: bytes = b"",
    ) -> Session:
        """A new session; V2gError for a protocol that no session speaks.

        `vehicle`: the certificate it showed in the handshake.
        """
        now = self._now()
        setup = replace(
            self._setup,
            utc_offset_s=now.utc.timestamp() - now.mono,
            utc_trusted=now.trusted,
            trust=self._setup.trust if self._trust is None else self._trust(),
        )
        paused = self._last.paused() if self._last is not None else None
        self._broken.update(self.broken())
        self._protocol = protocol
        self._last = self._new(protocol, setup, paused, now_mono, tls, vehicle)
        return self._last

    @property
    def paused(self) -> bool:
        """The last session was put to sleep by its vehicle."""
        return self._last is not None and self._last.paused() is not None

    def broken(self) -> frozenset[sap.Protocol]:
        """Those in which this vehicle and we did not understand each other: the next
        session had better be in another one, if the vehicle speaks any."""
        last = self._last
        if last is not None and "V2gFault" in last.state().faults:
            return frozenset((*self._broken, self._protocol))
        return frozenset(self._broken)

    def forget(self) -> None:
        """The connector is out: nothing can be resumed."""
        self._last = None
        self._broken.clear()

    def _new(
        self,
        protocol: sap.Protocol,
        setup: Setup,
        paused: object,
        now_mono: float,
        tls: bool,
        vehicle: bytes,
    ) -> Session:
        if protocol == sap.DIN:
            return DinSession(setup, self._random)
        if protocol == sap.ISO2:
            return Iso2Session(
                setup,
                self._random,
                tls=tls,
                paused=paused if isinstance(paused, Iso2Paused) else None,
            )
        if protocol in _ISO20:
            own = tuple(e for e in setup.energies if e in _ISO20[protocol])
            return Iso20Session(
                replace(setup, energies=own),
                self._random,
                now_mono,
                peer=vehicle,
                paused=paused if isinstance(paused, Iso20Paused) else None,
            )
        raise V2gError(f"no session speaks {protocol.namespace}: do not offer it")


def protocols(
    names: tuple[str, ...], energies: tuple[Energy, ...]
) -> tuple[sap.Protocol, ...]:
    """The configuration's names as protocols, for what the connector can do."""
    can = set(energies)
    found: list[sap.Protocol] = []
    for name, protocol, needs in _PROTOCOLS:
        if name in names and can & needs:
            found.append(protocol)
    return tuple(found)
