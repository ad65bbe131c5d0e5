"""What a vehicle says before TLS begins: versions, signatures and roots that it knows.

Owns the reading of a ClientHello, so that the station's certificate can be chosen; TLS
itself reads it again and judges it. Sources: RFC 8446 4.1.2 and 4.2, RFC 6066 6
(trusted_ca_keys, which ISO 15118-2 vehicles send), RFC 8422 for the scheme numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargerd.vehicle.iso15118.errors import V2gError

MAX_HELLO_BYTES = 16_384
TLS_1_3 = 0x0304

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_MAX_RECORD = 16_384 + 256
_TRUSTED_CA_KEYS, _SIGNATURE_ALGORITHMS = 3, 13
_SUPPORTED_VERSIONS, _CERTIFICATE_AUTHORITIES = 43, 47
_KEY_SHA1, _X509_NAME, _CERT_SHA1 = 1, 2, 3  # RFC 6066 IdentifierType
_SHA1_BYTES = 20


@dataclass(frozen=True, slots=True)
class ClientHello:
    """`root_names` are DER names, `root_hashes` SHA-1 of keys and certificates."""

    version: int
    versions: frozenset[int] = frozenset()
    schemes: frozenset[int] = frozenset()
    root_names: frozenset[bytes] = frozenset()
    root_hashes: frozenset[bytes] = frozenset()

    @property
    def speaks_1_3(self) -> bool:
        return TLS_1_3 in self.versions


def read(data: bytes) -> ClientHello | None:
    """The ClientHello at the start of a stream; None while it is not all there.

    V2gError: these bytes are not a ClientHello, or it is too long.
    """
    message = _message(data)
    if message is None:
        return None
    body = _Reader(message)
    version = body.number(2)
    body.take(32)  # random
    body.vector(1)  # session id
    body.vector(2)  # cipher suites
    body.vector(1)  # compression
    extensions = _Reader(body.vector(2)) if body.left else _Reader(b"")
    found: dict[int, bytes] = {}
    while extensions.left:
        kind = extensions.number(2)
        found[kind] = extensions.vector(2)
    names, digests = _trusted(found.get(_TRUSTED_CA_KEYS))
    return ClientHello(
        version=version,
        versions=_numbers(found.get(_SUPPORTED_VERSIONS), 1),
        schemes=_numbers(found.get(_SIGNATURE_ALGORITHMS), 2),
        root_names=names | _names(found.get(_CERTIFICATE_AUTHORITIES)),
        root_hashes=digests,
    )


def _message(data: bytes) -> bytes | None:
    """The first handshake message, out of one record or several."""
    message, at = bytearray(), 0
    while at < len(data):
        header = data[at : at + _RECORD_HEADER]
        if header[0] != _HANDSHAKE or header[1:2] not in (b"", b"\x03"):
            raise V2gError("TLS: these bytes are not TLS, which is spoken here")
        if len(header) < _RECORD_HEADER:
            return None
        size = int.from_bytes(header[3:])
        if not 0 < size <= _MAX_RECORD:
            raise V2gError(f"TLS: a record of {size} bytes cannot be")
        at += _RECORD_HEADER
        message += data[at : at + size]
        at += size
        whole = _whole(message)
        if whole is not None:
            return whole
    return None


def _whole(message: bytearray) -> bytes | None:
    """The body of a ClientHello when it is all there."""
    if len(message) < _MESSAGE_HEADER:
        return None
    if message[0] != _CLIENT_HELLO:
        raise V2gError(f"TLS: it begins with message {message[0]}, not a ClientHello")
    end = _MESSAGE_HEADER + int.from_bytes(message[1:_MESSAGE_HEADER])
    if end > MAX_HELLO_BYTES:
        raise V2gError(f"TLS: a ClientHello of {end} bytes is too long")
    return bytes(message[_MESSAGE_HEADER:end]) if len(message) >= end else None


class _Reader:
    """Bytes with a position. V2gError instead of reading past the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise V2gError("TLS: a ClientHello with a length that cannot be")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """What a length of `size` bytes announces."""
        return self.take(self.number(size))


def _numbers(extension: bytes | None, length_size: int) -> frozenset[int]:
    """A vector of 16-bit numbers."""
    if extension is None:
        return frozenset()
    numbers = _Reader(_Reader(extension).vector(length_size))
    found = set()
    while numbers.left:
        found.add(numbers.number(2))
    return frozenset(found)


def _names(extension: bytes | None) -> frozenset[bytes]:
    """certificate_authorities: names of roots."""
    if extension is None:
        return frozenset()
    names = _Reader(_Reader(extension).vector(2))
    found = set()
    while names.left:
        found.add(names.vector(2))
    return frozenset(found)


def _trusted(extension: bytes | None) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """trusted_ca_keys: names of roots, and hashes of their keys or certificates."""
    if extension is None:
        return frozenset(), frozenset()
    names, digests = set(), set()
    trusted = _Reader(_Reader(extension).vector(2))
    while trusted.left:
        kind = trusted.number(1)
        if kind == _X509_NAME:
            names.add(trusted.vector(2))
        elif kind in (_KEY_SHA1, _CERT_SHA1):
            digests.add(trusted.take(_SHA1_BYTES))
        elif kind != 0:  # 0: pre_agreed, without a value
            raise V2gError(f"TLS: trusted_ca_keys of kind {kind} is not known")
    return frozenset(names), frozenset(digests)
