"""TLS of the station, sans-I/O: 1.2 for ISO 15118-2, 1.3 with the vehicle's certificate
for ISO 15118-20, on one port.

A broken certificate means no TLS service, said as V2gError; never silent plain text.
Sources: ISO 15118-2 section 7.7.3, [V2G20-1235], [V2G20-2356].
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chargerd.vehicle.iso15118.errors import V2gError

# Of the two suites of ISO 15118-2 the other one (static ECDH) left OpenSSL 3.
CIPHERS_1_2 = "ECDHE-ECDSA-AES128-SHA256"
# A handshake with two chains of four certificates stays below; a bomb does not.
MAX_HANDSHAKE_BYTES = 32_768
MAX_RECORD_BYTES = 65_536
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME


@dataclass(frozen=True, slots=True)
class Identity:
    """One certificate of the station: PEM files of its chain (leaf first) and key."""

    chain: Path
    key: Path


class TlsServer:
    """What all connections of one EVSE share. Reads files when made: off the loop."""

    def __init__(
        self,
        identities: Sequence[Identity],
        vehicle_roots: Sequence[x509.Certificate] = (),
        *,
        clock_trusted: bool = True,
    ) -> None:
        """V2gError: what is wrong with which file.

        Without `vehicle_roots` no vehicle is asked for a certificate, so none gets ISO
        15118-20. A vehicle's certificate is asked for, not demanded: ISO 15118-2
        vehicles have none. One that is shown must be good.
        """
        if not identities:
            raise V2gError("TLS: no certificate of the station is configured")
        self._context = _context(identities[0], vehicle_roots, clock_trusted)

    def wrap(self) -> TlsLink:
        """TLS of one new connection."""
        return TlsLink(self._context)


class TlsLink:
    """TLS of one connection: the peer's bytes in, bytes for the peer out.

    After V2gError the connection is over: send `to_send()` (an alert), then close.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._handshake_bytes = 0
        self.established = False
        self.closed = False  # the peer said that it sends no more

    def receive(self, data: bytes) -> bytes:
        """What the peer said, decrypted; b"" while the handshake runs."""
        self._in.write(data)
        try:
            if not self.established and not self._shake(len(data)):
                return b""
            return self._read()
        except ssl.SSLError as error:
            raise V2gError(f"TLS: {error.reason or error}") from error

    def send(self, data: bytes) -> None:
        """Encrypt for the peer; taken by `to_send`."""
        self._tls.write(data)

    def close(self) -> None:
        """Say goodbye (close_notify); taken by `to_send`."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            return  # the peer's own goodbye is not waited for

    def to_send(self) -> bytes:
        """Encrypted bytes that may go out now."""
        return self._out.read()

    @property
    def vehicle(self) -> bytes | None:
        """The vehicle's certificate in DER, checked against `vehicle_roots`."""
        return self._tls.getpeercert(binary_form=True) if self.established else None

    @property
    def mutual_1_3(self) -> bool:
        """TLS 1.3 and a checked certificate of the vehicle: what ISO 15118-20 needs."""
        return self._tls.version() == "TLSv1.3" and bool(self.vehicle)

    @property
    def summary(self) -> str:
        """Version and cipher suite, for the log."""
        cipher = self._tls.cipher()
        return f"{self._tls.version()} {cipher[0]}" if cipher else ""

    def _shake(self, received: int) -> bool:
        self._handshake_bytes += received
        if self._handshake_bytes > MAX_HANDSHAKE_BYTES:
            raise V2gError(f"TLS: a handshake of over {MAX_HANDSHAKE_BYTES} bytes")
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.established = True
        return True

    def _read(self) -> bytes:
        plain = bytearray()
        try:
            while chunk := self._tls.read(MAX_RECORD_BYTES):
                plain += chunk
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.closed = True
        return bytes(plain)


def _context(
    identity: Identity, vehicle_roots: Sequence[x509.Certificate], clock_trusted: bool
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0  # no resumption: each session shows its certificate
    try:
        context.set_ciphers(CIPHERS_1_2)
        context.load_cert_chain(identity.chain, identity.key)
    except (OSError, ssl.SSLError) as error:
        names = f"{identity.chain} and {identity.key}"
        raise V2gError(f"TLS cannot serve with {names}: {error}") from error
    if vehicle_roots:
        pem = b"".join(root.public_bytes(Encoding.PEM) for root in vehicle_roots)
        context.load_verify_locations(cadata=pem.decode("ascii"))
        context.verify_mode = ssl.CERT_OPTIONAL
        if not clock_trusted:
            context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


# --- what door.py used before the sans-I/O link ---------------------------------------


@dataclass(frozen=True, slots=True)
class Files:
    """PEM files: the SECC's chain (leaf first), its key, roots for vehicles."""

    chain: Path
    key: Path
    vehicle_roots: Path | None = None


def server_context(files: Files) -> ssl.SSLContext:
    """The context of the one TLS port. V2gError: what is wrong with which file."""
    roots = (
        x509.load_pem_x509_certificates(files.vehicle_roots.read_bytes())
        if files.vehicle_roots
        else ()
    )
    return _context(Identity(files.chain, files.key), roots, clock_trusted=True)


def is_mutual_1_3(connection: ssl.SSLObject | None) -> bool:
    """What the handshake gave: TLS 1.3 and a checked certificate of the vehicle."""
    return (
        connection is not None
        and connection.version() == "TLSv1.3"
        and bool(connection.getpeercert(binary_form=True))
    )
