"""Limits of the schemas (ranges, lengths, occurrences) hold on the way in and out.

Out: every field of every message, one step beyond each of its limits, is refused by
name. In: bytes with values beyond the limits, written by a codec whose declarations are
as wide as the bits allow, are refused by the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import pytest

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import Codec
from chargerd.vehicle.iso15118.messages.declare import (
    Base64,
    Complex,
    Enumeration,
    Field,
    Hex,
    Integer,
    Schema,
    String,
)
from tests.exi_variants import variants

SETS = [name for name in exi.SCHEMAS if name != "xmldsig"]
SIGNED = "Signature"  # xmldsig has no limits of its own


def module(name: str) -> str:
    return f"chargerd.vehicle.iso15118.messages.{name}"


def declared(name: str) -> Schema:
    schema = import_module(module(name)).SCHEMA
    assert isinstance(schema, Schema)
    return schema


def beyond(kind: Any) -> list[Any]:
    """Values one step beyond each limit of a simple type."""
    match kind:
        case Integer():
            low = [] if kind.min is None else [kind.min - 1]
            return low + ([] if kind.max is None else [kind.max + 1])
        case String():
            short = ["x" * (kind.min - 1)] if kind.min else []
            return short + ([] if kind.max is None else ["x" * (kind.max + 1)])
        case Hex() | Base64():
            least = [bytes(kind.min - 1)] if kind.min else []
            return least + ([] if kind.max is None else [bytes(kind.max + 1)])
        case Enumeration():
            return ["no such word"]
    return []


def places(value: Complex) -> Iterator[tuple[Complex, Field]]:
    """Every field with a value, with the object that holds it."""
    for field in type(value).fields_:
        held = getattr(value, field.name)
        if held is None or field.kind == "particles" or field.name == SIGNED:
            continue
        yield value, field
        for inner in held if field.many else [held]:
            if isinstance(inner, Complex):
                yield from places(inner)


def set_each(owner: Complex, field: Field, values: list[Any]) -> Iterator[Any]:
    """Puts each value in the field in turn and at last what was there."""
    before = getattr(owner, field.name)
    for value in values:
        setattr(owner, field.name, [value, *before[1:]] if field.many else value)
        yield value
    setattr(owner, field.name, before)


def messages(name: str) -> Iterator[Complex]:
    for _, message in variants(declared(name)):
        yield message


def refused(message: Complex) -> str:
    """The error of encoding, or nothing where the message is taken."""
    try:
        exi.encode(message)
    except V2gError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", SETS)
def test_values_beyond_their_limits_are_not_encoded(name: str) -> None:
    tried: set[tuple[str, str]] = set()
    for message in messages(name):
        assert refused(message) == ""
        for owner, field in places(message):
            key = (type(owner).__name__, field.name)
            if key in tried:
                continue
            tried.add(key)
            for value in set_each(owner, field, beyond(field.type)):
                assert field.name in refused(message), f"{key} took {value!r}"
    assert tried


@pytest.mark.parametrize("name", SETS)
def test_too_few_and_too_many_are_not_encoded(name: str) -> None:
    tried: set[tuple[str, str]] = set()
    for message in messages(name):
        for owner, field in places(message):
            key = (type(owner).__name__, field.name)
            held = getattr(owner, field.name)
            if key in tried or not field.many or not held:
                continue
            tried.add(key)
            wrong = [held[:1] * (field.min - 1)] if field.min else []
            wrong += [held[:1] * (field.max + 1)] if field.max else []
            for items in wrong:
                setattr(owner, field.name, items)
                assert field.name in refused(message), f"{key} took {len(items)}"
            setattr(owner, field.name, held)


@pytest.mark.parametrize("name", SETS)
def test_what_must_be_there_and_is_not(name: str) -> None:
    tried: set[tuple[str, str]] = set()
    for message in messages(name):
        for owner, field in places(message):
            key = (type(owner).__name__, field.name)
            if key in tried or field.many or field.optional:
                continue
            tried.add(key)
            for _ in set_each(owner, field, [None]):
                assert field.name in refused(message), f"{key} may be missing"
    assert tried


def wider(kind: Any) -> dict[str, Any]:
    """The attributes of a simple type made as wide as its bits allow."""
    match kind:
        case String() | Hex() | Base64():
            return {"min": 0, "max": None}
        case Enumeration() if len(kind.values) & (len(kind.values) - 1):
            return {"values": (*kind.values, "no such word")}
        case Integer() if kind.min is not None and kind.max is not None:
            span = kind.max - kind.min
            if span < 4096:  # an offset of so many bits
                return {"max": kind.min + (1 << span.bit_length()) - 1}
            return {"min": 0 if kind.min >= 0 else None, "max": None}
    return {}


@contextmanager
def widened(schema: Schema) -> Iterator[None]:
    """For a while the simple types of a set have no limits but those of their bits."""
    types = {id(f.type): f.type for cls in schema.types for f in cls.fields_}
    before: list[tuple[Any, dict[str, Any]]] = []
    for kind in types.values():
        new = wider(kind)
        before.append((kind, {key: getattr(kind, key) for key in new}))
        for key, value in new.items():
            object.__setattr__(kind, key, value)
    try:
        yield
    finally:
        for kind, old in before:
            for key, value in old.items():
                object.__setattr__(kind, key, value)


@pytest.mark.parametrize("name", SETS)
def test_values_beyond_their_limits_are_not_decoded(name: str) -> None:
    cases: list[tuple[Complex, Complex, Field, list[Any]]] = []
    seen: set[tuple[str, str]] = set()
    for message in messages(name):
        for owner, field in places(message):
            key = (type(owner).__name__, field.name)
            if key not in seen:
                seen.add(key)
                cases.append((message, owner, field, beyond(field.type)))
    sent: list[tuple[str, bytes]] = []
    with widened(declared(name)):
        wide = Codec(declared(name), module(name))
        for message, owner, field, values in cases:
            for _ in set_each(owner, field, values):
                with suppress(V2gError):  # below the offset, above the bits
                    sent.append((field.name, wide.encode(message)))
    for what, data in sent:
        with pytest.raises(V2gError) as error:
            exi.decode(name, data)
        assert what in str(error.value)
    assert len(sent) > len(cases) // 20
