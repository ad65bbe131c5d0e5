"""Documents and fragments of one schema set: header, root, end, what was tolerated.

Decoding is total: any bytes give a message or V2gError. Owns no grammar of types.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from importlib import import_module
from typing import Any, NamedTuple

from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.bits import WINDOW_BYTES, Window, bad, finish
from chargerd.vehicle.iso15118.exi.decoder import Decoders
from chargerd.vehicle.iso15118.exi.encoder import Encoders
from chargerd.vehicle.iso15118.exi.explain import explain
from chargerd.vehicle.iso15118.exi.grammar import Grammar, QName, Type
from chargerd.vehicle.iso15118.exi.relaxed import Relaxed
from chargerd.vehicle.iso15118.messages.declare import Complex, Schema

SCHEMAS = ("sap", "din", "iso2", "common", "ac", "dc", "acdp", "wpt", "xmldsig")
HEADER = 0x80  # EXI 1.0 final, no cookie, no options
MESSAGES = "chargerd.vehicle.iso15118.messages."


class Decoded(NamedTuple):
    """A message and what was wrong with its bytes yet taken, in plain words."""

    message: Any
    tolerated: tuple[str, ...]


class Codec:
    """The codec of one schema set; builds only what it is asked for."""

    def __init__(self, schema: Schema, module: str | None = None) -> None:
        self.name = schema.name
        self.grammar = Grammar(schema, module)
        self.decoders = Decoders(self.grammar)
        self.encoders = Encoders(self.grammar)
        self.document_bits = len(self.grammar.documents).bit_length()

    # --- documents ---

    def decode(self, data: bytes) -> Any:
        """The message in `data`; V2gError when there is none."""
        return self.read(data)[0]

    def decode_noting(self, data: bytes) -> Decoded:
        """The same, with what was wrong and yet taken."""
        message, noted = self.read(data)
        return Decoded(message, noted + tuple(remarks(message)))

    def read(self, data: bytes) -> tuple[Any, tuple[str, ...]]:
        """The message, and what was wrong with the bytes behind it."""
        v, p = opened(data)
        width = self.document_bits
        try:
            p -= width
            code = v >> p & ((1 << width) - 1)
            if code >= len(self.grammar.documents):
                raise bad(self.name, "the root element is none of the schema's")
            item = self.grammar.documents[code]
            if not self.grammar.is_message(item):
                raise bad(self.name, f"{item.name} is no message")
            message, p = self.decoders.function(item.type)(v, p)
        except ValueError as fault:
            raise self.cut(data) from fault
        return message, ended(v, p, self.name)

    def encode(self, message: Complex) -> bytes:
        """The bytes of a message; V2gError names the value that cannot be."""
        root = self.grammar.roots.get(type(message))
        if root is None:
            raise bad(self.name, f"{type(message).__name__} is no message of its own")
        index, item = root
        v = 1 << 8 | HEADER
        v = v << self.document_bits | index
        out: list[bytes] = []
        try:
            v = self.encoders.function(type(message))(v, message, out)
        except (TypeError, ValueError, KeyError, AttributeError) as fault:
            raise V2gError(explain(self.grammar, message, item.name)) from fault
        return finish(v, out)

    # --- fragments (what signatures sign) ---

    def encode_fragment(self, name: str, value: Any) -> bytes:
        """The fragment of element `name`; V2gError as for `encode`."""
        kind = type(value)
        for index, (key, kinds) in enumerate(self.fragments):
            if key[0] == name and kind in kinds:
                return self.encode_as(index, name, value, len(kinds) > 1)
        raise bad(self.name, f"no element {name} of {kind.__name__}")

    def encode_as(self, index: int, name: str, value: Any, relaxed: bool) -> bytes:
        """The fragment of the element with this index."""
        kind = type(value)
        width = self.fragment_bits
        out: list[bytes] = []
        try:
            function = (
                Relaxed(self.grammar, kind).encode
                if relaxed
                else self.encoders.function(kind)
            )
            v = function((1 << 8 | HEADER) << width | index, value, out)
        except (TypeError, ValueError, KeyError, AttributeError) as fault:
            raise V2gError(explain(self.grammar, value, name)) from fault
        return finish(v << width | len(self.fragments) + 1, out)

    def decode_fragment(self, data: bytes) -> tuple[str, Decoded]:
        """Element name and value of a fragment of one element."""
        v, p = opened(data)
        width = self.fragment_bits
        try:
            p -= width
            code = v >> p & ((1 << width) - 1)
            if code >= len(self.fragments):
                raise bad(self.name, "the fragment is no declared element")
            (name, _), kinds = self.fragments[code]
            found = signable(kinds)
            if len(found) != 1:
                raise bad(self.name, f"a fragment of {name} is never signed")
            if len(kinds) > 1:
                value, p = Relaxed(self.grammar, found[0]).decode(v, p)
            else:
                value, p = self.decoders.function(found[0])(v, p)
            p -= width
            if v >> p & ((1 << width) - 1) != len(self.fragments) + 1:
                raise bad(self.name, "the fragment goes on after its element")
        except ValueError as fault:
            raise self.cut(data) from fault
        return name, Decoded(value, ended(v, p, self.name))

    @cached_property
    def fragments(self) -> list[tuple[QName, set[Type]]]:
        """Element names with their types, in the order of their codes."""
        return list(self.grammar.fragments.items())

    @cached_property
    def fragment_bits(self) -> int:
        """Bits of an event code between elements: each, any other, the end."""
        return (len(self.fragments) + 1).bit_length()

    def cut(self, data: bytes) -> V2gError:
        """The exception for a stream that ends too early."""
        return bad(self.name, f"the stream of {len(data)} bytes ends too early")


def opened(data: bytes) -> tuple[Any, int]:
    """The reader of a stream and its bits behind the header."""
    if len(data) < 2 or data[0] != HEADER:
        start = data[:4].hex() or "nothing"
        raise V2gError(f"EXI starts with 80 and a body; this one with {start}")
    v = int.from_bytes(data, "big") if len(data) <= WINDOW_BYTES else Window(data)
    return v, len(data) * 8 - 8


def ended(v: Any, p: int, name: str) -> tuple[str, ...]:
    """Judge the `p` bits behind the end: filling, zeros, or something else."""
    found = []
    fill = p & 7
    if fill and v >> (p - fill) & ((1 << fill) - 1):
        found.append("filling bits that are not zero")
    extra = p >> 3
    if extra:
        rest = v.data[-extra:] if isinstance(v, Window) else None
        if any(rest) if rest is not None else v & ((1 << extra * 8) - 1):
            raise bad(name, f"{extra} more bytes after the end of the message")
        found.append(f"{extra} zero bytes after the end")
    return tuple(found)


def remarks(value: Any) -> Iterator[str]:
    """What known sloppy senders do and the decoder takes."""
    if isinstance(value, list):
        for item in value:
            yield from remarks(item)
    if not isinstance(value, Complex):
        return
    if type(value).abstract_:
        yield f"the abstract element {type(value).__name__}"
    for field in type(value).fields_:
        inner = getattr(value, field.name)
        if field.name == "EVCCID" and not inner:
            yield "an empty EVCCID"
        yield from remarks(inner)


def signable(kinds: set[Type]) -> list[type[Complex]]:
    """Those types that can be the content of a fragment."""
    return [
        kind
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, Complex) and not kind.abstract_
    ]


@cache
def codec(name: str) -> Codec:
    """The codec of a schema set, made once."""
    if name not in SCHEMAS:
        raise V2gError(f"no schema set {name!r}; there are {', '.join(SCHEMAS)}")
    return Codec(schema_of(MESSAGES + name), MESSAGES + name)


def schema_of(module: str) -> Schema:
    """The schema set a module of messages declares."""
    found = getattr(import_module(module), "SCHEMA", None)
    if not isinstance(found, Schema):
        raise V2gError(f"{module} declares no schema set")
    return found


def codec_for(message: Any) -> Codec:
    """The codec of a message, known by the module of its class."""
    if not isinstance(message, Complex):
        raise V2gError(f"{type(message).__name__} is no message")
    return codec(schema_of(type(message).__module__).name)
