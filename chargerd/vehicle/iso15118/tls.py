"""TLS of the station, sans-I/O: 1.2 for ISO 15118-2, 1.3 with the vehicle's certificate
for ISO 15118-20, on one port.

With tls_beneath.py it is all that knows the TLS engine (docs/adr/010). A broken
certificate means no TLS service, said as V2gError; never silent plain text. Sources:
ISO 15118-2 section 7.7.3, [V2G20-1235], [V2G20-2356].
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_pem_private_key,
)
from OpenSSL import SSL
from OpenSSL.crypto import X509

from chargerd.model import Revocable
from chargerd.trust.errors import TrustError
from chargerd.trust.name import UNREADABLE, revocable
from chargerd.trust.staple import Staple
from chargerd.vehicle.iso15118 import client_hello, tls_beneath
from chargerd.vehicle.iso15118.client_hello import ClientHello
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.identity import (
    Identity,
    Loaded,
    choose,
    load,
    read_staple,
)
from chargerd.vehicle.iso15118.pki import MAX_PATH, Trust, Use
from chargerd.vehicle.iso15118.signature import PrivateKey

__all__ = ["Identity", "NoTls", "TlsLink", "TlsServer"]

# Of the two suites of ISO 15118-2 the other one (static ECDH) left OpenSSL 3.
CIPHERS_1_2 = b"ECDHE-ECDSA-AES128-SHA256"
CIPHERS_1_3 = b"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
# A handshake with two chains of four certificates stays below; a bomb does not.
MAX_HANDSHAKE_BYTES = 32_768
_READ_BYTES = 65_536
_REFERENCE = b"-----BEGIN PKCS#11 PROVIDER URI-----"


class TlsServer:
    """What all connections share. Reads files when made: off the loop."""

    def __init__(self, identities: Sequence[Identity], trust: Trust) -> None:
        """V2gError: what is wrong with which file.

        `trust.v2g_roots` help to choose the certificate that a vehicle can check;
        without roots for vehicles none is asked for a certificate, so none gets ISO
        15118-20.
        """
        if not identities:
            raise V2gError("TLS: no certificate of the station is configured")
        self.known = tuple(load(each, trust) for each in identities)
        self._contexts = {
            (each.files, speaks_1_3): _context_1_3(each, trust)
            if speaks_1_3
            else _context_1_2(each)
            for each in self.known
            for speaks_1_3 in (False, True)
        }
        self._staples: dict[int, Staple] = {}

    def problem(self, now_utc: datetime | None) -> str:
        """Why no vehicle can be served over TLS now; "" = some can.

        `now_utc` None: the clock is not trusted, dates are not judged.
        """
        problems = [each.problem(now_utc) for each in self.known]
        return "" if "" in problems else "; ".join(problems)

    def staple(self, der: bytes) -> None:
        """Show this OCSP response from now on to vehicles that ask for one."""
        response = read_staple(der, self.known)
        self._staples[response.serial] = response

    def wrap(self, now_utc: datetime | None) -> TlsLink:
        """TLS of one new connection. None: the clock is not trusted."""
        return TlsLink(self, now_utc)

    def accept(self, hello: ClientHello, now_utc: datetime | None) -> SSL.Connection:
        """The engine for a vehicle that said this. V2gError: `problem`."""
        usable = [each for each in self.known if not each.problem(now_utc)]
        if not usable:
            raise V2gError(f"TLS: {self.problem(now_utc)}")
        chosen = choose(usable, hello)
        connection = SSL.Connection(self._contexts[chosen.files, hello.speaks_1_3])
        connection.set_accept_state()
        tls_beneath.judge_at(connection, now_utc)
        response = self._staples.get(chosen.leaf.serial_number)
        if response is not None and response.fresh(now_utc):
            tls_beneath.staple(connection, response.der)
        return connection


class NoTls:
    """In place of a server that cannot be: refuses every handshake."""

    def __init__(self, why: str) -> None:
        self._why = why

    def problem(self, now_utc: datetime | None) -> str:
        return self._why

    def wrap(self, now_utc: datetime | None) -> TlsLink:
        return TlsLink(self, now_utc)

    def accept(self, hello: ClientHello, now_utc: datetime | None) -> SSL.Connection:
        raise V2gError(f"TLS: {self._why}")


class TlsLink:
    """TLS of one connection: the peer's bytes in, bytes for the peer out.

    After V2gError the connection is over: send `to_send()` (an alert), then close.
    """

    def __init__(self, server: TlsServer | NoTls, now_utc: datetime | None) -> None:
        self._server, self._now_utc = server, now_utc
        self._hello = bytearray()  # until there is an engine
        self._tls: SSL.Connection | None = None
        self._handshake_bytes = 0
        self.established = False
        self.closed = False  # the peer said that it sends no more

    def receive(self, data: bytes) -> bytes:
        """What the peer said, decrypted; b"" while the handshake runs."""
        if not self.established:
            self._handshake_bytes += len(data)
            if self._handshake_bytes > MAX_HANDSHAKE_BYTES:
                raise V2gError(f"TLS: a handshake of over {MAX_HANDSHAKE_BYTES} bytes")
        if self._tls is None:
            self._hello += data
            hello = client_hello.read(bytes(self._hello))
            if hello is None:
                return b""
            self._tls = self._server.accept(hello, self._now_utc)
            data = bytes(self._hello)
        try:
            self._tls.bio_write(data)
            if not self.established and not self._shake(self._tls):
                return b""
            return self._read(self._tls)
        except SSL.Error as error:
            raise V2gError(f"TLS: {_reason(error)}") from error

    def send(self, data: bytes) -> None:
        """Encrypt for the peer; taken by `to_send`."""
        if self._tls is None:
            raise V2gError("TLS: nothing can be said before the handshake")
        try:
            self._tls.sendall(data)
        except SSL.Error as error:
            raise V2gError(f"TLS: {_reason(error)}") from error

    def close(self) -> None:
        """Say goodbye (close_notify); taken by `to_send`."""
        if self._tls is not None and self.established:
            try:
                self._tls.shutdown()
            except SSL.Error:
                return  # the connection broke before: there is nobody to greet

    def to_send(self) -> bytes:
        """Encrypted bytes that may go out now."""
        if self._tls is None:
            return b""
        out = bytearray()
        try:
            while True:
                out += self._tls.bio_read(_READ_BYTES)
        except SSL.WantReadError:
            return bytes(out)

    @property
    def vehicle(self) -> bytes | None:
        """The vehicle's certificate in DER, checked against the roots for vehicles."""
        if self._tls is None or not self.established:
            return None
        shown = self._tls.get_peer_certificate(as_cryptography=True)
        return shown.public_bytes(Encoding.DER) if shown is not None else None

    @property
    def revocable(self) -> tuple[Revocable, ...]:
        """Of the vehicle's checked chain, what may have been revoked meanwhile."""
        if self.vehicle is None or self._tls is None:
            return ()
        chain = self._tls.get_verified_chain(as_cryptography=True) or []
        try:
            return revocable(chain)
        except (TrustError, *UNREADABLE):
            return ()  # no hash that a central system could know it by

    @property
    def mutual_1_3(self) -> bool:
        """TLS 1.3 and a checked certificate of the vehicle: what ISO 15118-20 needs."""
        tls = self._tls
        return (
            tls is not None
            and tls.get_protocol_version() == SSL.TLS1_3_VERSION
            and self.vehicle is not None
        )

    @property
    def summary(self) -> str:
        """Version and cipher suite, for the log."""
        if self._tls is None or not self.established:
            return "TLS"
        return f"{self._tls.get_protocol_version_name()} {self._tls.get_cipher_name()}"

    def _shake(self, tls: SSL.Connection) -> bool:
        try:
            tls.do_handshake()
        except SSL.WantReadError:
            return False
        self.established = True
        return True

    def _read(self, tls: SSL.Connection) -> bytes:
        plain = bytearray()
        try:
            while True:
                plain += tls.recv(_READ_BYTES)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.closed = True
        return bytes(plain)


# --- the engine's settings ------------------------------------------------------------


def _context(identity: Loaded) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET
    )
    # No resumption: each session shows its certificates. TLS 1.3 tickets that OpenSSL
    # sends all the same open nothing.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    tls_beneath.allow_staples(context)
    files = identity.files
    try:
        context.use_certificate(identity.leaf)
        for ca in identity.path[1:]:
            context.add_extra_chain_cert(ca)
        _use_key(context, files.key)
        context.check_privatekey()
    except (OSError, SSL.Error) as error:
        why = str(error) if isinstance(error, OSError) else _reason(error)
        raise V2gError(f"{files.key} is not the key of {files.chain}: {why}") from error
    return context


def _use_key(context: SSL.Context, file: Path) -> None:
    """A key, or the reference to one in an HSM or TPM, which OpenSSL opens.

    A TPM's own key format is not taken: its provider must then come before all others
    in OpenSSL, and vehicles' certificates are no longer checked (docs/adr/010).
    """
    pem = file.read_bytes()
    if _REFERENCE in pem:
        try:
            context.use_privatekey_file(str(file))
        except SSL.Error as error:
            raise V2gError(
                f"{file}: the PKCS#11 key it names cannot be used ({_reason(error)}): "
                "does OPENSSL_CONF load the pkcs11 provider? see docs/pki.md"
            ) from error
        return
    try:
        key = load_pem_private_key(pem, None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise V2gError(
            f"{file} is no key that can be used ({str(error)[:200]}): give PKCS#8 PEM "
            "without a password, or a PKCS#11 reference; see docs/pki.md"
        ) from error
    if not isinstance(key, PrivateKey):
        raise V2gError(f"{file}: its key is neither ECDSA nor Ed448")
    context.use_privatekey(key)


def _context_1_2(identity: Loaded) -> SSL.Context:
    """ISO 15118-2: the station alone shows a certificate."""
    context = _context(identity)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS_1_2)
    return context


def _context_1_3(identity: Loaded, trust: Trust) -> SSL.Context:
    """ISO 15118-20: the vehicle is asked for a certificate; what it shows must be good.

    One that shows none goes on, but never gets ISO 15118-20 (`mutual_1_3`).
    """
    context = _context(identity)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(CIPHERS_1_3)
    roots = trust.anchors(Use.OEM)
    store = context.get_cert_store()
    if roots and store is not None:
        for root in roots:
            store.add_cert(X509.from_cryptography(root))
            context.add_client_ca(root)
        context.set_verify(SSL.VERIFY_PEER)
        context.set_verify_depth(MAX_PATH - 1)  # CAs between leaf and root
    return context


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words: the last is the nearest to what was asked of it."""
    found = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = [str(each[2]) for each in found if each[2]]
    return words[-1] if words else type(error).__name__
