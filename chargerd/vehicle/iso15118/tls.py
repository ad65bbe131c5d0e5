"""TLS contexts of the station: 1.2 for ISO 15118-2, 1.3 with the vehicle's certificate
for ISO 15118-20, on one port.

A broken certificate means no TLS service, said as V2gError; never silent plain text.
Sources: ISO 15118-2 section 7.7.3, [V2G20-1235], [V2G20-2356].
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from chargerd.vehicle.iso15118.errors import V2gError

# Of the two suites of ISO 15118-2 the other one (static ECDH) left OpenSSL 3.
CIPHERS_1_2 = "ECDHE-ECDSA-AES128-SHA256"


@dataclass(frozen=True, slots=True)
class Files:
    """PEM files: the SECC's chain (leaf first), its key, roots for vehicles."""

    chain: Path
    key: Path
    vehicle_roots: Path | None = None


def server_context(files: Files) -> ssl.SSLContext:
    """The context of the one TLS port. V2gError: what is wrong with which file.

    A vehicle's certificate is asked for, not demanded: ISO 15118-2 vehicles have none.
    Whoever shows none, or speaks 1.2, is never offered ISO 15118-20 (`is_mutual_1_3`).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0  # no resumption: each session shows its certificate
    try:
        context.set_ciphers(CIPHERS_1_2)
        context.load_cert_chain(files.chain, files.key)
        if files.vehicle_roots is not None:
            context.load_verify_locations(files.vehicle_roots)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        names = f"{files.chain}, {files.key}, {files.vehicle_roots}"
        raise V2gError(f"TLS cannot serve with {names}: {error}") from error
    return context


def is_mutual_1_3(connection: ssl.SSLObject | None) -> bool:
    """What the handshake gave: TLS 1.3 and a checked certificate of the vehicle."""
    return (
        connection is not None
        and connection.version() == "TLSv1.3"
        and bool(connection.getpeercert(binary_form=True))
    )
