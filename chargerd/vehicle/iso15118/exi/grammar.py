"""Grammars of a schema set, built from the declarations: who may follow whom.

Every class becomes a row of terms (attributes sorted, then content, then end of
element); every production has an index in that row. In any state the productions
allowed are neighbours in the row, so an event code is an index minus the first allowed
(EXI 1.0 section 8.5.4; non-strict: n productions take the bits of n + 1 codes, the
spare one is refused). Owns no bits and no values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from chargerd.vehicle.iso15118.messages.declare import (
    Complex,
    Field,
    Global,
    Group,
    One,
    Particle,
    Schema,
    Simple,
    Wildcard,
)

Type = type[Complex] | Simple
QName = tuple[str, str]  # local name first: the order in which EXI sorts
XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
SIGNATURE_WEIGHT = 8  # an entry of a signature's lists costs as much as so many others
# Abstract heads that a known vehicle takes, sent empty by a known station.
TOLERATED_HEADS = ("SASchedules",)


@dataclass(frozen=True, slots=True)
class Alternative:
    """One production: an element, attribute or text (name "")."""

    field: Field
    name: str
    type: Type
    abstract: bool = False

    @property
    def closed(self) -> bool:
        """Whether it holds a code but may not be sent: abstract."""
        if self.name in TOLERATED_HEADS:
            return False
        return self.abstract or (isinstance(self.type, type) and self.type.abstract_)


@dataclass(frozen=True, slots=True)
class Term:
    """A place in the row; `first` is the index of its first alternative."""

    alternatives: tuple[Alternative, ...]
    first: int
    min: int
    max: int | None
    many: bool

    @property
    def last(self) -> int:
        """Index of the last alternative."""
        return self.first + len(self.alternatives) - 1


@dataclass(frozen=True, slots=True)
class Row:
    """The terms of a class; `end` is the index of the end of the element."""

    terms: tuple[Term, ...]
    end: int

    def allowed(self, at: int) -> tuple[int, int]:
        """First and last production before term number `at` (past the last: end)."""
        if at == len(self.terms):
            return self.end, self.end
        first = self.terms[at].first
        for term in self.terms[at:]:
            if term.min:
                return first, term.last
        return first, self.end

    def again(self, at: int) -> tuple[int, int]:
        """The same after an occurrence of term `at` that may come again."""
        return self.terms[at].first, self.allowed(at + 1)[1]


def weight(cls: type[Complex]) -> int:
    """What an entry of a list without bound in `cls` counts."""
    return SIGNATURE_WEIGHT if cls.namespace_ == XMLDSIG else 1


def width(first: int, last: int) -> int:
    """Bits of an event code in a state with these productions, the spare included."""
    return (last - first + 1).bit_length()


class Grammar:
    """What one schema set says of elements, substitutions, documents, fragments."""

    def __init__(self, schema: Schema, module: str | None = None) -> None:
        self.schema = schema
        self.module = module
        self.members: dict[QName, list[Global]] = {}
        for item in schema.elements:
            if item.substitutes:
                space, name = item.substitutes
                self.members.setdefault((name, space), []).append(item)
        self.globals = {(item.name, item.namespace): item for item in schema.elements}

    @cached_property
    def documents(self) -> tuple[Global, ...]:
        """Global elements as the document grammar counts them."""
        return tuple(self.globals[key] for key in sorted(self.globals))

    @cached_property
    def roots(self) -> dict[type[Complex], tuple[int, Global]]:
        """Class -> index and element of the document it makes."""
        found: dict[type[Complex], tuple[int, Global]] = {}
        for index, item in enumerate(self.documents):
            if self.is_message(item):
                found.setdefault(item.type, (index, item))
        return found

    def is_message(self, item: Global) -> bool:
        """Whether a global element is a document of this set.

        The module keeps imported parts out; without one every element may be.
        """
        kind = item.type
        return (
            isinstance(kind, type)
            and issubclass(kind, Complex)
            and not (item.abstract or kind.abstract_)
            and self.module in (None, kind.__module__)
        )

    @cached_property
    def fragments(self) -> dict[QName, set[Type]]:
        """Every element name declared anywhere -> its types; in fragment order."""
        found: dict[QName, set[Type]] = {}
        for item in self.schema.elements:
            found.setdefault((item.name, item.namespace), set()).add(item.type)
        for cls in self.schema.types:
            for name, space, kind in declared(cls):
                found.setdefault((name, space), set()).add(kind)
        return {key: found[key] for key in sorted(found)}

    @cached_property
    def attributes(self) -> list[QName]:
        """Every attribute name declared anywhere, in the order of fragments."""
        return sorted(
            {
                (field.name, field.namespace)
                for cls in self.schema.types
                for field in cls.fields_
                if field.kind == "attribute"
            }
        )

    def choices(self, name: str, namespace: str, default: Type) -> list[Global]:
        """A referenced element and all that substitute it, sorted by name."""
        head = self.globals.get((name, namespace))
        if head is None:
            head = Global(name, namespace, default)
        found = {(name, namespace): head}
        todo = [(name, namespace)]
        while todo:
            for item in self.members.get(todo.pop(), ()):
                found[item.name, item.namespace] = item
                todo.append((item.name, item.namespace))
        return [found[key] for key in sorted(found)]

    def alternatives(self, field: Field) -> list[Alternative]:
        """The productions of one field."""
        if not field.ref:
            return [Alternative(field, field.name, field.type)]
        return [
            Alternative(field, item.name, item.type, item.abstract)
            for item in self.choices(field.name, field.namespace, field.type)
        ]

    def open_inside(
        self, cls: type[Complex], above: frozenset[type[Complex]] = frozenset()
    ) -> bool:
        """Whether a value of `cls` may hold lists without bound, or itself."""
        if has_particles(cls) or cls in above:
            return True
        above |= {cls}
        return any(
            (field.many and field.max is None)
            or any(
                isinstance(item.type, type) and self.open_inside(item.type, above)
                for item in self.alternatives(field)
            )
            for field in cls.fields_
        )

    def row(self, cls: type[Complex]) -> Row:
        """The terms of a class without particles."""
        terms: list[Term] = []
        index = 0
        for group in grouped(cls):
            found = [item for field in group for item in self.alternatives(field)]
            field = group[0]
            least = field.min
            if field.choice is not None and field.choice.endswith("?"):
                least = 0
            terms.append(Term(tuple(found), index, least, field.max, field.many))
            index += len(found)
        return Row(tuple(terms), index)


def grouped(cls: type[Complex]) -> Iterator[list[Field]]:
    """Fields as terms: attributes by name, then elements, a choice as one."""
    yield from (
        [field]
        for field in sorted(
            (field for field in cls.fields_ if field.kind == "attribute"),
            key=lambda field: (field.name, field.namespace),
        )
    )
    run: list[Field] = []
    for field in cls.fields_:
        if field.kind == "attribute":
            continue
        if run and (field.choice is None or field.choice != run[0].choice):
            yield run
            run = []
        run.append(field)
    if run:
        yield run


def declared(cls: type[Complex]) -> Iterator[tuple[str, str, Type]]:
    """Name, namespace and type of every element a class declares or refers to."""
    for field in cls.fields_:
        if field.kind == "element":
            if not field.ref:
                yield field.name, field.namespace, field.type
        elif field.kind == "particles":
            yield from in_tree(field.type, cls.namespace_)


def in_tree(tree: Particle, namespace: str) -> Iterator[tuple[str, str, Type]]:
    """The same for a particle tree."""
    match tree:
        case Group():
            for part in tree.parts:
                yield from in_tree(part, namespace)
        case One():
            if tree.ref is None:
                yield tree.name, namespace, tree.type
        case Wildcard():
            pass


def has_particles(cls: type[Complex]) -> bool:
    """Whether a class needs the open interpreter."""
    return any(field.kind == "particles" for field in cls.fields_)
