"""A vehicle's TLS client in memory, by Python's own ssl: not the station's engine."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509

from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.tls import Identity, TlsLink, TlsServer
from hil.pki.make import Chain, Pki
from hil.pki.store import write_chain, write_issued

V1_1 = ssl.TLSVersion.TLSv1_1
V1_2 = ssl.TLSVersion.TLSv1_2
V1_3 = ssl.TLSVersion.TLSv1_3


def identity(chain: Chain, folder: Path) -> Identity:
    """A chain as the files of a station."""
    write_chain(chain, folder)
    return Identity(folder / "chain.pem", folder / "leaf.key")


def trust_of(*pkis: Pki) -> Trust:
    return Trust(
        tuple(each.secc.root.certificate for each in pkis),
        tuple(each.contract.root.certificate for each in pkis),
        tuple(each.oem.root.certificate for each in pkis),
    )


def client_context(
    root: Path,
    version: ssl.TLSVersion,
    own: Chain | None = None,
    ciphers: str | None = None,
) -> ssl.SSLContext:
    """A vehicle that trusts `root` and may have a certificate of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if version is V1_1:
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(root)
    if ciphers:
        context.set_ciphers(ciphers)
    if own is not None:
        folder = root.parent / "own"
        write_chain(own, folder)
        context.load_cert_chain(folder / "chain.pem", folder / "leaf.key")
    return context


def root_file(chain: Chain, folder: Path) -> Path:
    write_issued(chain.root, folder, "root")
    return folder / "root.pem"


@dataclass
class Pair:
    """A client and the station's link, and what passes between them."""

    context: ssl.SSLContext
    link: TlsLink
    client: ssl.SSLObject = field(init=False)
    heard: bytes = b""  # by the station
    got: bytes = b""  # by the vehicle

    def __post_init__(self) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = self.context.wrap_bio(self._in, self._out)
        self._shaken = False

    def pump(self, rounds: int = 8, piece: int | None = None) -> None:
        """Both sides until nothing moves. `piece`: in pieces of so many bytes.

        Raises what either side raises: ssl.SSLError the client, V2gError the station.
        """
        for _ in range(rounds):
            if not self._shaken:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self.client.do_handshake()
                    self._shaken = True
            data = self._out.read()
            step = piece or max(1, len(data))
            for at in range(0, len(data), step):
                self.heard += self.link.receive(data[at : at + step])
            self._in.write(self.link.to_send())
            if self._shaken:
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                    self.got += self.client.read(65536)

    def say(self, data: bytes) -> None:
        """The vehicle's words, sent by the next `pump`."""
        self.client.write(data)

    def goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.client.unwrap()

    def take_alert(self) -> None:
        """The station's last bytes; raises what the client makes of them."""
        self._in.write(self.link.to_send())
        if self._shaken:
            self.client.read(1)
        else:
            self.client.do_handshake()


def pair(server: TlsServer, context: ssl.SSLContext, now_utc: datetime | None) -> Pair:
    return Pair(context, server.wrap(now_utc))


def stapled(link: TlsLink, root: x509.Certificate) -> bytes:
    """What a vehicle that asks for OCSP gets; the client is pyOpenSSL here, as
    Python's ssl cannot ask."""
    got: list[bytes] = []
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    store = context.get_cert_store()
    if store is not None:
        store.add_cert(X509.from_cryptography(root))
    context.set_verify(SSL.VERIFY_PEER, None)

    def keep(_connection: SSL.Connection, der: bytes, _data: object) -> bool:
        got.append(der)
        return True

    context.set_ocsp_client_callback(keep)
    client = SSL.Connection(context, None)
    client.set_connect_state()
    client.request_ocsp()
    for _ in range(6):
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        _move(client.bio_read, link.receive)
        data = link.to_send()
        if data:
            client.bio_write(data)
    assert link.established
    return got[0] if got else b""


def _move(read: Callable[[int], bytes], write: Callable[[bytes], bytes]) -> None:
    try:
        write(read(65536))
    except SSL.WantReadError:
        return
