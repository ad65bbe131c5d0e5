"""Finds the value of a message that cannot be encoded and says so in plain words.

Runs only after encoding failed, so it may be slow and thorough. Owns no bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chargerd.vehicle.iso15118.exi.bits import MANY
from chargerd.vehicle.iso15118.exi.grammar import Grammar, Term, has_particles
from chargerd.vehicle.iso15118.exi.open_content import TEXT, Automaton
from chargerd.vehicle.iso15118.messages.declare import (
    Base64,
    Boolean,
    Complex,
    Enumeration,
    Hex,
    Integer,
    String,
)

_UNSET = object()


def explain(grammar: Grammar, value: Any, path: str) -> str:
    """The first fault in `value`, with its path."""
    for fault in faults(grammar, value, type(value), path):
        return fault
    return f"{path}: cannot be encoded"


def faults(grammar: Grammar, value: Any, kind: Any, path: str) -> Iterator[str]:
    """Every fault of a value of a declared type."""
    match kind:
        case Boolean():
            if not isinstance(value, bool):
                yield f"{path}: {value!r} is not True or False"
        case Enumeration():
            if value not in kind.values:
                yield f"{path}: {value!r} is none of {', '.join(kind.values)}"
        case Integer():
            yield from integer_faults(value, kind, path)
        case String():
            if not isinstance(value, str):
                yield f"{path}: {type(value).__name__} is not a string"
            else:
                yield from length_faults(value, kind, path, "characters")
        case Hex() | Base64():
            if not isinstance(value, bytes):
                yield f"{path}: {type(value).__name__} is not bytes"
            else:
                yield from length_faults(value, kind, path, "bytes")
        case _:
            if type(value) is not kind:
                yield f"{path}: {type(value).__name__} is not a {kind.__name__}"
            elif has_particles(kind):
                yield from open_faults(grammar, value, path)
            else:
                for term in grammar.row(kind).terms:
                    yield from term_faults(grammar, value, term, path)


def integer_faults(value: Any, kind: Integer, path: str) -> Iterator[str]:
    """Not an integer, or out of range."""
    if not isinstance(value, int):
        yield f"{path}: {value!r} is not an integer"
    elif kind.min is not None and value < kind.min:
        yield f"{path}: {value} is less than {kind.min}"
    elif kind.max is not None and value > kind.max:
        yield f"{path}: {value} is more than {kind.max}"


def length_faults(
    value: str | bytes, kind: String | Hex | Base64, path: str, unit: str
) -> Iterator[str]:
    """Too short, too long, or a lone surrogate. Never shows the content."""
    if len(value) < kind.min:
        yield f"{path}: {len(value)} {unit}, at least {kind.min} are due"
    elif kind.max is not None and len(value) > kind.max:
        yield f"{path}: {len(value)} {unit}, at most {kind.max} are allowed"
    elif isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        yield f"{path}: a lone surrogate is no character"


def term_faults(grammar: Grammar, owner: Any, term: Term, path: str) -> Iterator[str]:
    """Faults of the fields of one place in the row."""
    names = list(dict.fromkeys(item.field.name for item in term.alternatives))
    found = [(name, getattr(owner, name, _UNSET)) for name in names]
    given = [(n, x) for n, x in found if x is not None and x is not _UNSET]
    if len(given) > 1:
        yield f"{path}: only one of {', '.join(n for n, _ in given)} may be set"
    if not given:
        if term.min:
            yield f"{path}: {' or '.join(names)} is missing"
        elif any(x is _UNSET for _, x in found):
            yield f"{path}: {' or '.join(names)} is not set"
        return
    name, value = given[0]
    where = f"{path}.{name}"
    if not term.many:
        yield from item_faults(grammar, value, term, name, where)
        return
    if not isinstance(value, list | tuple):
        yield f"{where}: {type(value).__name__} is not a list"
        return
    most = MANY if term.max is None else term.max
    if not term.min <= len(value) <= most:
        yield f"{where}: {len(value)} entries, allowed are {term.min} to {most}"
    for index, item in enumerate(value):
        yield from item_faults(grammar, item, term, name, f"{where}[{index}]")


def item_faults(
    grammar: Grammar, value: Any, term: Term, name: str, path: str
) -> Iterator[str]:
    """Faults of one value where one or several types may stand."""
    mine = [item for item in term.alternatives if item.field.name == name]
    kinds = [item.type for item in mine if not item.closed]
    if len(mine) == 1:
        yield from faults(grammar, value, mine[0].type, path)
    elif type(value) in kinds:
        yield from faults(grammar, value, type(value), path)
    else:
        yield f"{path}: a {type(value).__name__} has no place here"


def open_faults(grammar: Grammar, owner: Complex, path: str) -> Iterator[str]:
    """Faults of a class with particles."""
    automaton = Automaton(type(owner))
    for field in automaton.attributes:
        value = getattr(owner, field.name, None)
        if value is not None:
            yield from faults(grammar, value, field.type, f"{path}.{field.name}")
        elif field.min:
            yield f"{path}: {field.name} is missing"
            return
    where = f"{path}.{automaton.field.name}"
    state = (len(automaton.attributes), automaton.start[1])
    items = getattr(owner, automaton.field.name, None)
    if not isinstance(items, list | tuple):
        yield f"{where}: {type(items).__name__} is not a list of (name, value)"
        return
    if len(items) > MANY:
        yield f"{where}: {len(items)} entries, at most {MANY} are allowed"
    for item in items:
        if not (isinstance(item, tuple) and len(item) == 2):
            yield f"{where}: an item is (name, value)"
            return
        name, value = item
        node = automaton.node(state)
        if name not in node.by_name:
            yield f"{where}: {name!r} has no place here"
            return
        event = node.events[node.by_name[name]]
        state = event.goto
        kind = String() if name == TEXT else event.type
        yield from faults(grammar, value, kind, f"{where}.{name}")
    if "#end" not in automaton.node(state).by_name:
        yield f"{where}: ends too early"
