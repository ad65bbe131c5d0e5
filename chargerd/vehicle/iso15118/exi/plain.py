"""Messages as plain values (what JSON knows) and back, for tools, logs and vectors.

Names as in the standard, hexBinary as upper-case hex, base64Binary as base64, what is
absent left out, lists where the schema allows several. Owns no text of JSON.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Any

from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.bits import bad
from chargerd.vehicle.iso15118.exi.codec import Codec
from chargerd.vehicle.iso15118.exi.grammar import (
    TOLERATED_HEADS,
    Grammar,
    Term,
    has_particles,
)
from chargerd.vehicle.iso15118.exi.open_content import TEXT, Automaton
from chargerd.vehicle.iso15118.messages.declare import (
    Base64,
    Complex,
    Field,
    Hex,
    One,
)


def message_to_plain(codec: Codec, message: Complex) -> dict[str, Any]:
    """{root element: its content}."""
    root = codec.grammar.roots.get(type(message))
    if root is None:
        raise bad(codec.name, f"{type(message).__name__} is no message of its own")
    return {root[1].name: to_plain(codec.grammar, message)}


def message_from_plain(codec: Codec, plain: Any) -> Complex:
    """The message of {root element: its content}."""
    if not isinstance(plain, dict) or len(plain) != 1:
        raise bad(codec.name, "a message is an object with one key, its root element")
    [(name, inner)] = plain.items()
    for cls, (_, item) in codec.grammar.roots.items():
        if item.name == name:
            return from_plain(codec.grammar, cls, inner, str(name))
    raise bad(codec.name, f"has no message {name!r}")


def to_plain(grammar: Grammar, value: Any) -> dict[str, Any]:
    """The content of a message or a part of one."""
    found: dict[str, Any] = {}
    if has_particles(type(value)):
        for field in type(value).fields_:
            inner = getattr(value, field.name)
            if field.kind == "particles":
                if inner:
                    found[field.name] = open_to_plain(grammar, value, inner)
            elif inner is not None:
                found[field.name] = one_to_plain(grammar, field.type, inner)
        return found
    for term in grammar.row(type(value)).terms:
        for field in fields(term):
            inner = getattr(value, field.name)
            for item in inner if term.many else () if inner is None else (inner,):
                name, kind = element_of(term, field, item)
                plain = one_to_plain(grammar, kind, item)
                if term.many:
                    found.setdefault(name, []).append(plain)
                else:
                    found[name] = plain
    return found


def fields(term: Term) -> list[Field]:
    """The fields a term stands for, each once."""
    return list({id(item.field): item.field for item in term.alternatives}.values())


def element_of(term: Term, field: Field, value: Any) -> tuple[str, Any]:
    """Name and type of the element a value is sent as."""
    mine = [item for item in term.alternatives if item.field is field]
    for item in mine:
        if len(mine) == 1 or type(value) is item.type:
            return item.name or field.name, item.type
    raise bad(field.name, f"a {type(value).__name__} has no place here")


def one_to_plain(grammar: Grammar, kind: Any, value: Any) -> Any:
    """One value."""
    match kind:
        case Hex():
            return value.hex().upper()
        case Base64():
            return b64encode(value).decode("ascii")
        case type():
            return to_plain(grammar, value)
        case _:
            return value


def open_to_plain(grammar: Grammar, owner: Any, items: Any) -> list[dict[str, Any]]:
    """Items whose order counts: a list of objects with one key."""
    kinds = open_kinds(type(owner))
    return [
        {name: one_to_plain(grammar, kinds.get(name), item)} for name, item in items
    ]


def open_kinds(cls: type[Complex]) -> dict[str, Any]:
    """Element name -> type of a class with particles."""
    parts = Automaton(cls).parts
    return {part.name: part.type for part in parts if isinstance(part, One)}


def from_plain(grammar: Grammar, cls: type[Complex], plain: Any, path: str) -> Complex:
    """A declared object from plain values; facets are checked when it is encoded."""
    if not isinstance(plain, dict):
        raise bad(path, "an object is due")
    if cls.abstract_ and cls.__name__ not in TOLERATED_HEADS:
        raise bad(path, "is abstract")
    left = dict(plain)
    values: dict[str, Any] = {}
    if has_particles(cls):
        open_from_plain(grammar, cls, left, values, path)
    else:
        for term in grammar.row(cls).terms:
            term_from_plain(grammar, term, left, values, path)
    if left:
        raise bad(path, f"has no {', '.join(map(str, left))}")
    try:
        return cls(**values)
    except TypeError as fault:
        raise V2gError(f"{path}: {fault}") from fault


def term_from_plain(
    grammar: Grammar,
    term: Term,
    left: dict[str, Any],
    values: dict[str, Any],
    path: str,
) -> None:
    """Move the keys of one term from `left` to `values`."""
    for item in term.alternatives:
        name = item.name or item.field.name
        if name not in left:
            continue
        plain = left.pop(name)
        where = f"{path}.{name}"
        if not term.many:
            if item.field.name in values:
                raise bad(where, "a second element where one may stand")
            values[item.field.name] = one_from_plain(grammar, item.type, plain, where)
            continue
        if not isinstance(plain, list):
            raise bad(where, "a list is due")
        values.setdefault(item.field.name, []).extend(
            one_from_plain(grammar, item.type, inner, f"{where}[{index}]")
            for index, inner in enumerate(plain)
        )


def one_from_plain(grammar: Grammar, kind: Any, plain: Any, path: str) -> Any:
    """One value."""
    if isinstance(kind, type):
        return from_plain(grammar, kind, plain, path)
    if isinstance(kind, Hex | Base64):
        if not isinstance(plain, str):
            raise bad(path, "a string is due")
        try:
            if isinstance(kind, Hex):
                return bytes.fromhex(plain)
            return b64decode(plain, validate=True)
        except (ValueError, binascii.Error) as fault:
            raise V2gError(f"{path}: {fault}") from fault
    return plain


def open_from_plain(
    grammar: Grammar,
    cls: type[Complex],
    left: dict[str, Any],
    values: dict[str, Any],
    path: str,
) -> None:
    """The same for a class with particles."""
    for field in cls.fields_:
        if field.name not in left:
            continue
        plain = left.pop(field.name)
        where = f"{path}.{field.name}"
        if field.kind != "particles":
            values[field.name] = one_from_plain(grammar, field.type, plain, where)
            continue
        kinds = open_kinds(cls)
        items = []
        for item in plain if isinstance(plain, list) else [None]:
            if not isinstance(item, dict) or len(item) != 1:
                raise bad(where, "a list of objects with one key is due")
            [(name, inner)] = item.items()
            if name != TEXT and name not in kinds:
                raise bad(where, f"has no {name!r}")
            kind = kinds.get(name)
            items.append((name, one_from_plain(grammar, kind, inner, where)))
        values[field.name] = items
