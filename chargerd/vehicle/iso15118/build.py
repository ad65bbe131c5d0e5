"""From the configuration to a door: one EVSE's ratings, energies and services.

Owns the translation of the configuration's words; opens nothing.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from chargerd.clock import Clock
from chargerd.config import Config, Evse, Iso15118, Iso15118Port
from chargerd.trust import layout
from chargerd.trust.store import Kind, read_roots
from chargerd.vehicle.iso15118.door import Judge, SeccDoor
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.sessions import Sessions, protocols
from chargerd.vehicle.iso15118.secc.station import Authorise, Energy, Ratings, Setup
from chargerd.vehicle.iso15118.tls import Identity, NoTls, TlsLink, TlsServer


def door(
    config: Config,
    evse: Evse,
    port: Iso15118Port,
    security: Security,
    clock: Clock,
    judge: Judge | None = None,
) -> SeccDoor:
    """The door of one EVSE."""
    words = config.vehicle.iso15118
    setup = setup_of(config, evse, port)
    contracts = "PnC" in words.authorise
    return SeccDoor(
        evse.id,
        port.interface,
        protocols(words.protocols, setup.energies),
        Sessions(
            setup,
            secrets.token_bytes,
            clock.now,
            trust=security.trust if contracts else None,
        ),
        clock,
        sdp_port=port.sdp_port,
        tls=security.tls if security.wanted else None,
        tls_serves=security.serves,
        plain=words.plain,
        judge=judge,
    )


def security_of(config: Config, clock: Clock) -> Security:
    """With a central system, what it installs counts, too."""
    ocpp = config.ocpp
    installed = ocpp.certificates_dir if ocpp.url else None
    return Security(config.vehicle.iso15118, clock, installed)


@dataclass(frozen=True, slots=True)
class _Files:
    """What the files gave."""

    server: TlsServer | NoTls
    trust: Trust
    broken: tuple[str, ...] = ()


class Security:
    """Certificates, keys and roots as the files have them now.

    A broken certificate means no TLS and a problem to show, never less security. A
    broken file of roots is a problem, too; the other roots count.
    """

    def __init__(
        self, words: Iso15118, clock: Clock, installed: Path | None = None
    ) -> None:
        """Reads the files: at the start, or off the loop. `installed`: where OCPP puts
        certificates (trust/layout.py); None = nothing comes by OCPP."""
        self._words, self._clock, self._installed = words, clock, installed
        self._files = self._read()

    def load(self) -> None:
        """Read the files anew; connections that stand go on. Blocks."""
        self._files = self._read()

    def _read(self) -> _Files:
        trust, broken = trust_of(self._words, self._installed)
        identities = [
            Identity(each.chain, each.key) for each in self._words.certificates
        ]
        staples: list[Path] = []
        if self._installed is not None:
            own = sorted((self._installed / layout.SECC).glob("*.pem"))
            identities += [Identity(file, file) for file in own]
            staples = sorted((self._installed / layout.STAPLES).glob("*.der"))
        if not identities:
            return _Files(NoTls("there is no certificate to show"), trust)
        try:
            server = TlsServer(identities, trust)
        except V2gError as error:
            return _Files(NoTls(str(error)), trust, (str(error), *broken))
        for file in staples:
            with contextlib.suppress(OSError, V2gError):  # of a chain that has gone
                server.staple(file.read_bytes())
        return _Files(server, trust, tuple(broken))

    @property
    def wanted(self) -> bool:
        """Whether a vehicle may ever be served over TLS."""
        return bool(self._words.certificates) or self._installed is not None

    def tls(self) -> TlsLink:
        """TLS of one new connection."""
        return self._files.server.wrap(self._judged_utc())

    def serves(self) -> bool:
        """A certificate of ours is good now."""
        return not self._files.server.problem(self._judged_utc())

    def trust(self) -> Trust:
        return self._files.trust

    def problem(self) -> str:
        """What is wrong with the files now; "" = nothing."""
        files = self._files
        if isinstance(files.server, NoTls):
            return "; ".join(files.broken)
        why = files.server.problem(self._judged_utc())
        return "; ".join(filter(None, [why, *files.broken]))

    def _judged_utc(self) -> datetime | None:
        """Dates are judged once the clock is trusted."""
        now = self._clock.now()
        return now.utc if now.trusted else None


def trust_of(words: Iso15118, installed: Path | None) -> tuple[Trust, list[str]]:
    """The roots of the configuration and of OCPP, and what of them cannot be read."""
    named = {
        Kind.V2G: words.v2g_roots,
        Kind.MO: words.mo_roots,
        Kind.OEM: words.oem_roots,
    }
    broken: list[str] = []
    kinds: list[tuple[x509.Certificate, ...]] = []
    for kind, place in named.items():
        places = [place] if place is not None else []
        if installed is not None and installed / kind.value not in places:
            places.append(installed / kind.value)
        found: dict[x509.Certificate, None] = {}
        for each in places:
            known, bad = read_roots(each)
            found |= {certificate: None for _, certificate in known}
            broken += bad
        kinds.append(tuple(found))
    return Trust(*kinds), broken


def setup_of(config: Config, evse: Evse, port: Iso15118Port) -> Setup:
    """What one EVSE is and offers; roots for contracts come with each session."""
    words = config.vehicle.iso15118
    energies = tuple(Energy(name) for name in port.energies)
    return Setup(
        evse_id=port.evse_id,
        ratings=ratings(evse, energies),
        energies=energies,
        authorise=tuple(Authorise(name) for name in words.authorise),
        receipt_s=words.receipts_every_s,
        standby=words.standby,
        parking=words.parking,
        free=words.free,
        meter_id=f"{config.station.id}-{evse.id}"[:32],
        outlet_sensed=words.voltage_sense == "connector"
        and evse.devices.insulation is not None,
    )


def ratings(evse: Evse, energies: tuple[Energy, ...]) -> Ratings:
    """The EVSE's limits; an AC side only where AC is offered."""
    ac = Energy.AC in energies or Energy.AC_BPT in energies
    discharges = evse.discharge_w > 0
    return Ratings(
        voltage_min_v=evse.voltage_min_v,
        voltage_max_v=evse.voltage_max_v,
        charge_max_a=evse.current_max_a,
        discharge_max_a=evse.current_max_a if discharges else 0.0,
        charge_max_w=evse.charge_w,
        discharge_max_w=evse.discharge_w,
        ac_phases=evse.ac_phases if ac else 0,
        ac_phase_v=evse.ac_voltage_v,
        ac_max_a=evse.ac_current_max_a if ac else 0.0,
    )
