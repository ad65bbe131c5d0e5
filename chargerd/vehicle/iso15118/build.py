"""From the configuration to a door: one EVSE's ratings, energies and services.

Owns the translation of the configuration's words; opens nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from chargerd.clock import Clock
from chargerd.config import Config, Evse, Iso15118, Iso15118Port
from chargerd.trust.store import read_roots
from chargerd.vehicle.iso15118.door import NewTls, SeccDoor
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.sessions import Sessions, protocols
from chargerd.vehicle.iso15118.secc.station import Authorise, Energy, Ratings, Setup
from chargerd.vehicle.iso15118.tls import Identity, TlsServer


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
        tls_serves=security.tls_serves,
        plain=words.plain,
    )


@dataclass(frozen=True, slots=True)
class Security:
    """What the files gave: no `tls` where none is wanted, or none can be served."""

    tls: NewTls | None = None
    tls_serves: Callable[[], bool] = bool  # a certificate of ours is good now
    trust: Trust | None = None
    problem: Callable[[], str] = str  # what is wrong with the files now; "" = nothing


def security(words: Iso15118, clock: Clock) -> Security:
    """Reads the files of certificates, keys and roots: at the start, off the loop.

    A broken certificate means no TLS and a problem to show, never less security. A
    broken file of roots is a problem, too; the other roots count.
    """
    if not words.certificates:
        return Security()
    trust, broken = trust_of(words)
    identities = [Identity(each.chain, each.key) for each in words.certificates]
    try:
        server = TlsServer(identities, trust)
    except V2gError as error:
        why = "; ".join([str(error), *broken])
        return Security(trust=trust, problem=lambda: why)

    def judged_utc() -> datetime | None:
        """Dates are judged once the clock is trusted."""
        now = clock.now()
        return now.utc if now.trusted else None

    def problem() -> str:
        return "; ".join(filter(None, [server.problem(judged_utc()), *broken]))

    def tls_serves() -> bool:
        return not server.problem(judged_utc())

    return Security(lambda: server.wrap(judged_utc()), tls_serves, trust, problem)


def trust_of(words: Iso15118) -> tuple[Trust, list[str]]:
    """The configured roots, and what of them cannot be read."""
    broken: list[str] = []
    kinds: list[tuple[x509.Certificate, ...]] = []
    for place in (words.v2g_roots, words.mo_roots, words.oem_roots):
        found, bad = read_roots(place) if place is not None else ([], [])
        kinds.append(tuple(certificate for _, certificate in found))
        broken += bad
    return Trust(*kinds), broken


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
