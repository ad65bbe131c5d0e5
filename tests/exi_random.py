"""Random valid messages of any schema set, made from its declarations alone.

Owns no knowledge of any message; a seed gives the same message on every machine.
Ends of ranges and lengths come often: that is where codecs differ. Text and binary
are never empty: XML, the referee's language, knows no empty value, only no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from chargerd.vehicle.iso15118.messages.declare import (
    Base64,
    Boolean,
    Complex,
    ComplexMeta,
    Enumeration,
    Field,
    Global,
    Group,
    Hex,
    Integer,
    Item,
    One,
    Particle,
    Schema,
    Simple,
    String,
    Wildcard,
)

LETTERS = "abcXYZ 0123456789-_:/.,äß€漢\U0001f50c"
DEPTH = 12  # xmldsig may nest without end; below this only what must be there


class Maker:
    """Makes messages of one schema set. `rich` 0..1: how many optional parts come.

    `counts`: how often the elements of these names come, where they do.
    """

    def __init__(
        self,
        schema: Schema,
        random: Random,
        rich: float = 0.5,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        self.random = random
        self.rich = rich
        self.counts = counts or {}
        self._members: dict[tuple[str, str], list[type[Complex]]] = {}
        heads = {(e.namespace, e.name): e for e in schema.elements}
        for each in schema.elements:
            head: tuple[str, str] | None = (each.namespace, each.name)
            while head is not None:
                if not (each.abstract or getattr(each.type, "abstract_", False)):
                    self._members.setdefault(head, []).append(each.type)
                head = heads[head].substitutes

    def message(self, root: Global) -> Any:
        """A value of one global element of the set."""
        return self.value(root.type, 0)

    def value(self, type_: Any, depth: int) -> Any:
        """A value of a simple type or of a class."""
        if isinstance(type_, type):
            return self._complex(type_, depth + 1)
        return self._simple(type_)

    # --- simple types -----------------------------------------------------------------

    def _simple(self, type_: Simple) -> Any:
        random = self.random
        match type_:
            case Boolean():
                return random.random() < 0.5
            case Enumeration():
                return random.choice(type_.values)
            case Integer():
                return self._integer(type_.min, type_.max)
            case String():
                return self._text(type_)
            case Hex() | Base64():
                return random.randbytes(self._length(type_.min, type_.max, 1))

    def _integer(self, least: int | None, most: int | None) -> int:
        wide = 1 << self.random.choice((3, 7, 8, 15, 31, 63, 64, 160))
        low = least if least is not None else -wide
        high = most if most is not None else max(wide, low)
        if self.random.random() < 0.3:
            return self.random.choice((low, high, max(low, min(high, 0))))
        if self.random.random() < 0.5:  # small numbers have another length
            high = min(high, max(low, 300))
        return self.random.randint(low, high)

    def _length(self, least: int, most: int | None, usual_least: int) -> int:
        """Mostly short; sometimes the least, sometimes the most there can be."""
        low = max(least, usual_least)
        high = low + 40 if most is None else max(most, low)
        dice = self.random.random()
        if dice < 0.1:
            return low
        if dice < 0.2 and high <= 4_096:
            return high
        return self.random.randint(low, min(high, low + 24))

    def _text(self, type_: String) -> str:
        """Without blanks at its ends: XML would not give those back."""
        length = self._length(type_.min, type_.max, 1)
        text = "".join(self.random.choice(LETTERS) for _ in range(length))
        return "x" * length if text != " ".join(text.split()) else text

    # --- classes ----------------------------------------------------------------------

    def _complex(self, cls: type[Complex], depth: int) -> Complex:
        chosen = self._choices(cls, depth)
        values: dict[str, Any] = {}
        for field in cls.fields_:
            if field.kind == "particles":
                values[field.name] = self._particle(field.type, depth)
            elif field.many:
                count = self.counts.get(field.name)
                if count is None:
                    count = self._count(field.min, field.max, depth)
                values[field.name] = [self._field(field, depth) for _ in range(count)]
            elif field.choice is not None:
                wanted = chosen[field.choice] == field.name
                values[field.name] = self._field(field, depth) if wanted else None
            elif field.min or self._wanted(depth):
                values[field.name] = self._field(field, depth)
            else:
                values[field.name] = None
        return cls(**values)

    def _choices(self, cls: type[Complex], depth: int) -> dict[str, str | None]:
        labels: dict[str, list[str]] = {}
        for field in cls.fields_:
            if field.choice is not None:
                labels.setdefault(field.choice, []).append(field.name)
        return {
            label: None
            if label.endswith("?") and not self._wanted(depth)
            else self.random.choice(names)
            for label, names in labels.items()
        }

    def _field(self, field: Field, depth: int) -> Any:
        if field.ref:
            members = self._members.get((field.namespace, field.name))
            return self.value(
                self.random.choice(members) if members else field.type, depth
            )
        return self.value(field.type, depth)

    def _wanted(self, depth: int) -> bool:
        return depth < DEPTH and self.random.random() < self.rich

    def _count(self, least: int, most: int | None, depth: int) -> int:
        if least == 0 and not self._wanted(depth):
            return 0
        high = least + 2 if most is None else min(most, least + 2)
        if most is not None and most <= 20 and self.random.random() < 0.1:
            return most
        return self.random.randint(least, high)

    # --- particles (xmldsig) ----------------------------------------------------------

    def _particle(self, part: Particle, depth: int) -> list[Item]:
        """Items in an order the particle allows; wildcards only ever match nothing."""
        items: list[Item] = []
        for _ in range(self._count(part.min, part.max, depth)):
            match part:
                case One():
                    items.append((part.name, self.value(part.type, depth)))
                case Wildcard():
                    pass
                case Group(choice=True):
                    known = [p for p in part.parts if not isinstance(p, Wildcard)]
                    if known:
                        items += self._particle(self.random.choice(known), depth)
                case Group():
                    for each in part.parts:
                        items += self._particle(each, depth)
        return items


def roots(schema: Schema) -> Iterator[Global]:
    """The set's own global elements that are a message and can be made: not those of
    simple, abstract or imported type, nor SignatureProperty, which must hold an element
    of some other schema."""
    for each in schema.elements:
        if not isinstance(each.type, ComplexMeta) or each.abstract:
            continue
        own = each.type.__module__.rpartition(".")[2] == schema.name
        if own and not each.type.abstract_ and "SignaturePropert" not in each.name:
            yield each


def within(schema: Schema, root: Global) -> set[type[Complex]]:
    """Every class that a document of `root` may hold, itself included."""
    members: dict[tuple[str, str], list[Any]] = {}
    for each in schema.elements:
        if each.substitutes is not None:
            members.setdefault(each.substitutes, []).append(each)
    found: set[Any] = set()
    waiting: list[Any] = [root.type]
    while waiting:
        cls = waiting.pop()
        if not isinstance(cls, ComplexMeta) or cls in found:
            continue
        found.add(cls)
        for field in cls.fields_:
            if field.kind == "element":
                waiting.append(field.type)
            heads = [(field.namespace, field.name)] if field.ref else []
            while heads:
                for each in members.get(heads.pop(), ()):
                    waiting.append(each.type)
                    heads.append((each.namespace, each.name))
    return found
