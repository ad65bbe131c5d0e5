"""EXI for V2G: schema-informed, bit-packed, non-strict EXI 1.0, in pure Python.

The face: `decode`, `encode`, `to_json`, `from_json`; fragments for signatures. Schema
sets by name: sap, din, iso2, common, ac, dc, acdp, wpt (and xmldsig for SignedInfo).
Only V2gError leaves this package, whatever the bytes. Grammars and functions are built
when first used. Pure: bytes in, values out.
"""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118.exi.codec import SCHEMAS, Decoded, codec, codec_for
from chargerd.vehicle.iso15118.exi.plain import message_from_plain, message_to_plain
from chargerd.vehicle.iso15118.messages.declare import Complex

__all__ = [
    "SCHEMAS",
    "Decoded",
    "decode",
    "decode_fragment",
    "decode_noting",
    "encode",
    "encode_fragment",
    "from_json",
    "to_json",
]


def decode(schema: str, data: bytes) -> Any:
    """The message in `data`. V2gError: no such message; nothing else is raised."""
    return codec(schema).decode(bytes(data))


def decode_noting(schema: str, data: bytes) -> Decoded:
    """As `decode`, with what was wrong and yet tolerated (zeros after the end)."""
    return codec(schema).decode_noting(bytes(data))


def encode(message: Complex) -> bytes:
    """The bytes of a message. V2gError names the value that cannot be."""
    return codec_for(message).encode(message)


def encode_fragment(schema: str, name: str, value: Complex) -> bytes:
    """The fragment of one element, the bytes a signature's digest is made of."""
    return codec(schema).encode_fragment(name, value)


def decode_fragment(schema: str, data: bytes) -> tuple[str, Any]:
    """Name and value of the one element in a fragment."""
    name, found = codec(schema).decode_fragment(bytes(data))
    return name, found.message


def to_json(message: Complex) -> dict[str, Any]:
    """A message as plain values, ready for a JSON writer: {root: content}."""
    return message_to_plain(codec_for(message), message)


def from_json(schema: str, obj: Any) -> Any:
    """The message of plain values. V2gError names what does not fit."""
    return message_from_plain(codec(schema), obj)
