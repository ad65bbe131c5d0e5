"""Every message of a schema set in a few fixed variants, made from its declarations.

Bare (only what must be there) and full (all that may be there), full once per option of
its choices and substitutions. Values follow from names and limits alone: no chance, no
knowledge of any message. tests/exi_random.py is its sister with chance.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chargerd.vehicle.iso15118.messages.declare import (
    Base64,
    Boolean,
    Complex,
    Enumeration,
    Field,
    Global,
    Hex,
    Integer,
    Schema,
    Simple,
    String,
)
from chargerd.vehicle.iso15118.messages.xmldsig import XMLDSIG

LENGTH = 12  # of strings and bytes, where the limits allow


@dataclass(slots=True)
class Author:
    """Writes one variant of a message: option number `pick` at every choice."""

    schema: Schema
    pick: int
    full: bool
    signed: bool = False
    options: int = 1  # the most options met at any choice
    body: type[Complex] | None = None
    members: dict[tuple[str, str], list[type[Complex]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        heads = {(e.namespace, e.name): e for e in self.schema.elements}
        for each in self.schema.elements:
            head: tuple[str, str] | None = (each.namespace, each.name)
            while head is not None:
                if concrete(each.type):
                    self.members.setdefault(head, []).append(each.type)
                head = heads[head].substitutes

    def one_of(self, options: list[Any]) -> Any:
        self.options = max(self.options, len(options))
        return options[self.pick % len(options)]

    def complex(self, cls: type[Complex]) -> Complex:
        groups: dict[str, list[str]] = {}
        for each in cls.fields_:
            if each.choice is not None:
                groups.setdefault(each.choice, []).append(each.name)
        chosen = {
            self.one_of(names)
            for group, names in groups.items()
            if self.full or not group.endswith("?")
        }
        values = {
            each.name: self.many(each) if each.many else self.value(each)
            for each in cls.fields_
            if (each.name in chosen if each.choice else self.wanted(each))
        }
        return cls(**values)

    def wanted(self, each: Field) -> bool:
        if each.name == "Signature":
            return self.signed
        if each.kind == "particles" or each.name in ("KeyInfo", "Object"):
            return False
        return each.min > 0 or self.full

    def many(self, each: Field) -> list[Any]:
        count = max(each.min, 1 if each.max == 1 else 2) if self.full else each.min
        return [self.value(each, number) for number in range(count)]

    def value(self, each: Field, number: int = 0) -> Any:
        if each.ref and (each.namespace, each.name) in self.members:
            if each.name == "BodyElement" and self.body is not None:
                return self.complex(self.body)
            members = self.members[each.namespace, each.name]
            return self.complex(self.one_of(members))
        if isinstance(each.type, type):
            return self.complex(each.type)
        return self.simple(each.type, f"{each.name}{number or ''}")

    def simple(self, kind: Simple, name: str) -> Any:
        seed = zlib.crc32(name.encode()) + self.pick
        match kind:
            case Boolean():
                return seed % 2 == 0
            case Enumeration():
                return kind.values[seed % len(kind.values)]
            case Integer():
                low = -70_000 if kind.min is None else kind.min
                high = 2**70 if kind.max is None else kind.max
                middle = max(low, min(high, seed % 1_000))
                return (middle, high, low)[self.pick % 3 if self.full else 0]
            case String():
                length = length_of(kind.min, kind.max)
                return (name * LENGTH)[: max(length, min(len(name), kind.max or 99))]
            case Hex() | Base64():
                length = length_of(kind.min, kind.max)
                return bytes((seed + 37 * place) % 256 for place in range(length))


def concrete(kind: Any) -> bool:
    """Whether it is a class of which there are instances."""
    return isinstance(kind, type) and issubclass(kind, Complex) and not kind.abstract_


def length_of(least: int, most: int | None) -> int:
    return max(least, min(LENGTH, LENGTH if most is None else most))


def is_message(root: Global) -> bool:
    return isinstance(root.type, type) and root.name.endswith(("Req", "Res"))


def variants(schema: Schema) -> Iterator[tuple[Global, Complex]]:
    """(root element, message) of one schema set, each message in all its variants."""
    messages = [each for each in schema.elements if is_message(each)]
    document = next((e for e in schema.elements if e.name == "V2G_Message"), None)
    for each in messages:
        root = document or each
        body = each.type if document else None
        bare = Author(schema, 0, full=False, body=body)
        yield root, bare.complex(root.type)
        count, pick = 1, 0
        while pick < count:
            signed = pick == 0 and "Id" in {f.name for f in fields_below(each.type)}
            author = Author(schema, pick, full=True, signed=signed, body=body)
            yield root, author.complex(root.type)
            count = max(count, author.options)
            pick += 1


def fields_below(cls: type[Complex]) -> Iterator[Field]:
    """The fields of a class and of what it holds, signatures aside."""
    for each in cls.fields_:
        yield each
        if isinstance(each.type, type) and each.name not in ("Header", "Signature"):
            yield from fields_below(each.type)


def fragments(schema: Schema) -> Iterator[tuple[str, str, Complex]]:
    """(namespace, element, value) of all that has an Id, thus can be signed.

    Of the XML signature itself only SignedInfo, which is what the key signs.
    """
    pairs = [(e.namespace, e.name, e.type) for e in schema.elements]
    pairs += [
        (each.namespace, each.name, each.type)
        for cls in schema.types
        for each in cls.fields_
        if each.kind == "element" and not each.ref
    ]
    seen: set[tuple[str, str]] = set()
    for namespace, name, kind in sorted(pairs, key=lambda pair: pair[:2]):
        if not concrete(kind) or (namespace, name) in seen:
            continue
        seen.add((namespace, name))
        signable = "Id" in {each.name for each in kind.fields_}
        if namespace == XMLDSIG:
            signable = (schema.name, name) == ("xmldsig", "SignedInfo")
        if signable:
            count, pick = 1, 0
            while pick < count:
                author = Author(schema, pick, full=True)
                yield namespace, name, author.complex(kind)
                count = max(count, author.options)
                pick += 1
