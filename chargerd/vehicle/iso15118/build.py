"""From the configuration to a door: one EVSE's ratings, energies and services.

Owns the translation of the configuration's words; opens nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from chargerd.clock import Clock
from chargerd.config import Config, Evse, Iso15118, Iso15118Port
from chargerd.vehicle.iso15118.door import NewTls, SeccDoor
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.sessions import Sessions, protocols
from chargerd.vehicle.iso15118.secc.station import Authorise, Energy, Ratings, Setup
from chargerd.vehicle.iso15118.tls import Identity, TlsLink, TlsServer


def door(
    config: Config, evse: Evse, port: Iso15118Port, security: Security, clock: Clock
) -> SeccDoor:
    """The door of one EVSE."""
    words = config.vehicle.iso15118
    setup = setup_of(config, evse, port, security.trust)
    return SeccDoor(
        evse.id,
        port.interface,
        protocols(words.protocols, setup.energies),
        Sessions(setup, secrets.token_bytes, clock.now),
        clock,
        sdp_port=port.sdp_port,
        tls=security.tls,
        plain=words.plain,
    )


@dataclass(frozen=True, slots=True)
class Security:
    """What the files gave. `problem`: why there is no TLS although it is wanted."""

    tls: NewTls | None = None
    trust: Trust | None = None
    problem: str = ""


def security(words: Iso15118, clock: Clock) -> Security:
    """Reads the files of certificates, keys and roots: at the start, off the loop.

    A broken file means no TLS at all and a problem to show, never less security.
    """
    if not words.certificates:
        return Security()
    try:
        trust = Trust(
            roots(words.v2g_roots), roots(words.mo_roots), roots(words.oem_roots)
        )
        identities = [Identity(each.chain, each.key) for each in words.certificates]
        server = TlsServer(identities, trust)
    except V2gError as error:
        return Security(problem=str(error))

    def new_tls() -> TlsLink:
        """Dates are judged once the clock is trusted."""
        now = clock.now()
        return server.wrap(now.utc if now.trusted else None)

    return Security(new_tls, trust)


def roots(path: Path | None) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM bundle; V2gError names the file."""
    if path is None:
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise V2gError(f"{path} is no PEM bundle of roots: {error}") from error


def setup_of(
    config: Config, evse: Evse, port: Iso15118Port, trust: Trust | None
) -> Setup:
    """What one EVSE is and offers."""
    words = config.vehicle.iso15118
    energies = tuple(Energy(name) for name in port.energies)
    return Setup(
        evse_id=port.evse_id,
        ratings=ratings(evse, energies),
        energies=energies,
        authorise=tuple(Authorise(name) for name in words.authorise),
        trust=trust if "PnC" in words.authorise else None,
        receipt_s=words.receipts_every_s,
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
