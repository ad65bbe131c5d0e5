"""Makes one decode function per class: source text from its row, compiled on first use.

A decode function is `f(v, p) -> (object, p)`, see bits.py. Bits that must be zero
(`pend`: single productions, ends of simple elements) are not read alone: they widen the
next read and show as a value out of range. Owns the reading half of the codec.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from chargerd.vehicle.iso15118.exi import bits
from chargerd.vehicle.iso15118.exi.grammar import (
    Alternative,
    Grammar,
    Row,
    Term,
    Type,
    has_particles,
    weight,
    width,
)
from chargerd.vehicle.iso15118.exi.open_content import OpenDecoder
from chargerd.vehicle.iso15118.exi.values import bounds, code_bits
from chargerd.vehicle.iso15118.messages.declare import (
    Base64,
    Boolean,
    Complex,
    Enumeration,
    Hex,
    Integer,
    String,
)

Decode = Callable[[Any, int], tuple[Any, int]]


class Decoders:
    """Decode functions of one schema set, made when first asked for."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.names: dict[type[Complex], str] = {}
        # Names are never given twice, also when two threads build at the same time.
        self.numbers = count()
        self.made: dict[type[Complex], Decode] = {}
        self.space: dict[str, Any] = {
            "bad": bits.bad,
            "count_entry": bits.count_entry,
            "part": bits.part,
            "read_more": bits.read_more,
            "read_signed": bits.read_signed,
            "read_string": bits.read_string,
            "read_blob": bits.read_blob,
        }
        self.space["space"] = self.space

    def function(self, cls: type[Complex]) -> Decode:
        """The decode function of a class, compiled now if need be."""
        found = self.made.get(cls)
        if found is None:
            name = self.name(cls)
            found = self.made[cls] = self.space[name] = self.make(cls, name)
        return found

    def name(self, cls: type[Complex]) -> str:
        """Its name in generated code; a maker stands there until the first call."""
        name = self.names.get(cls)
        if name is None:
            name = f"d{next(self.numbers)}_{cls.__name__}"
            self.names[cls] = name

            def first_call(v: Any, p: int) -> tuple[Any, int]:
                return self.function(cls)(v, p)

            self.space[name] = first_call
        return name

    def make(self, cls: type[Complex], name: str) -> Decode:
        """Compile the function of a class."""
        if has_particles(cls):
            return OpenDecoder(cls, self.value, self.function)
        text = Writer(self, cls, self.grammar.row(cls)).source(name)
        # The text is made from our own declarations alone, never from input.
        exec(compile(text, f"<exi {name}>", "exec"), self.space)  # noqa: S102
        made: Decode = self.space[name]
        return made

    def value(self, kind: Type, where: str, element: bool) -> Decode:
        """Decode a typed value, with the events of its element around it if it is one;
        for the open interpreter."""
        name = f"v{next(self.numbers)}"
        text = Writer(self, Complex, Row((), 0)).value_source(
            name, kind, where, element
        )
        exec(compile(text, f"<exi {where}>", "exec"), self.space)  # noqa: S102
        made: Decode = self.space[name]
        return made

    def constant(self, value: object) -> str:
        """A name for an object generated code needs."""
        name = f"c{next(self.numbers)}"
        self.space[name] = value
        return name


class Writer:
    """Writes the source of one function, line by line."""

    def __init__(self, owner: Decoders, cls: type[Complex], row: Row) -> None:
        self.owner = owner
        self.cls = cls
        self.row = row
        self.lines: list[str] = []
        self.depth = 1
        self.pend = 0
        self.data = "v"

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def refuse(self, where: str, what: str) -> None:
        self.put(f"raise bad({where!r}, {what!r})")

    def read(self, count: int, target: str = "x") -> int:
        """Read `count` bits and the pending ones above them; bits read."""
        total = count + self.pend
        self.pend = 0
        if total:
            mask = (1 << total) - 1
            self.put(f"p -= {total}; {target} = {self.data} >> p & {mask}")
        return total

    def flush(self, where: str) -> None:
        """Read the pending zero bits where nothing follows to widen."""
        if self.pend:
            self.read(0, "y")
            self.put("if y:")
            self.depth += 1
            self.refuse(where, "an event the schema has no place for")
            self.depth -= 1

    # --- values ---

    def value(self, kind: Type, where: str) -> None:
        """Read a typed value into x; pending bits afterwards are zero."""
        name = repr(where)
        match kind:
            case Boolean():
                self.read(1)
                self.put(f"if x > 1: raise bad({name}, 'an event out of place')")
                self.put("x = x == 1")
            case Enumeration():
                count = code_bits(len(kind.values))
                if count + self.pend == 0:
                    self.put("x = 0")
                self.read(count)
                table = self.owner.constant(kind.values)
                self.put(
                    f"if x >= {len(kind.values)}: raise bad({name}, 'no such value')"
                )
                self.put(f"x = {table}[x]")
            case Integer():
                self.integer(kind, name)
            case String():
                self.read(8)
                self.put(f"x, p = read_string(v, p, x, {kind.min}, {kind.max}, {name})")
            case Hex() | Base64():
                self.read(8)
                self.put(f"x, p = read_blob(v, p, x, {kind.min}, {kind.max}, {name})")
            case _:
                self.flush(where)
                self.put(f"x, p = {self.owner.name(kind)}(v, p)")

    def integer(self, kind: Integer, name: str) -> None:
        """One of the three integer codings, by the range."""
        count = bounds(kind)
        low, high = kind.min, kind.max
        if count is not None and low is not None and high is not None:
            if count + self.pend == 0:
                self.put("x = 0")
            total = self.read(count)
            if high - low != (1 << total) - 1:
                self.put(f"if x > {high - low}: raise bad({name}, 'out of range')")
            if low:
                self.put(f"x += {low}" if low > 0 else f"x -= {-low}")
            return
        if low is not None and low >= 0:
            self.read(8)
            self.put(f"if x > 127: x, p = read_more(v, p, x, {name})")
            tests = [f"x < {low}"] if low else []
        else:
            self.read(9)
            self.put(f"if x > 127: x, p = read_signed(v, p, x, {name})")
            tests = [f"x < {low}"] if low is not None else []
        if high is not None:
            tests.append(f"x > {high}")
        if tests:
            self.put(f"if {' or '.join(tests)}: raise bad({name}, 'out of range')")

    def value_source(self, name: str, kind: Type, where: str, element: bool) -> str:
        """A function that reads one value."""
        self.pend = int(element)  # the code of CH, a single production
        self.value(kind, where)
        self.pend = int(element)  # the code of EE
        self.flush(where)
        self.put("return x, p")
        return f"def {name}(v, p):\n" + "\n".join(self.lines) + "\n"

    # --- events ---

    def occurrence(self, item: Alternative) -> None:
        """What follows the event code of an element, attribute or text."""
        where = f"{self.cls.__name__}.{item.name}"
        if item.closed:
            self.refuse(where, "is abstract")
            return
        simple = not isinstance(item.type, type)
        if simple and item.field.kind == "element":
            self.pend += 1  # the code of CH, a single production
        self.value(item.type, where)
        if simple and item.field.kind == "element":
            self.pend += 1  # the code of EE

    def state(self, first: int, last: int) -> bool:
        """Read the event code of a state into e; False when it had to be zero."""
        if first == last:
            self.pend += 1
            return False
        self.read(width(first, last), "e")
        if first:
            self.put(f"e += {first}")
        return True

    def settle(self, at: tuple[int, int], where: str) -> None:
        """As `state`, but e is always set and no bits are left pending."""
        first, last = at
        if first == last:
            self.pend += 1
            self.read(0, "e")
            if first:
                self.put(f"e += {first}")
        else:
            self.state(first, last)

    def source(self, name: str) -> str:
        """The whole function."""
        new = self.owner.constant(self.cls.__new__)
        cls = self.owner.constant(self.cls)
        self.put(f"o = {new}({cls})")
        known = self.state(*self.row.allowed(0))
        for at, term in enumerate(self.row.terms):
            known = self.term(at, term, known)
        where = self.cls.__name__
        if known:
            self.put(
                f"if e != {self.row.end}: raise bad({where!r}, 'an event out of place')"
            )
        else:
            self.flush(where)
        self.put("return o, p")
        return f"def {name}(v, p):\n" + "\n".join(self.lines) + "\n"

    def term(self, at: int, term: Term, known: bool) -> bool:
        """One term; `known`: e holds the production. Whether it does afterwards."""
        if term.many:
            return self.repeated(at, term, known)
        field = term.alternatives[0].field
        after = self.row.allowed(at + 1)
        if not known:
            self.occurrence(term.alternatives[0])
            self.put(f"o.{field.name} = x")
            return self.state(*after)
        where = f"{self.cls.__name__}.{field.name}"
        fields = {item.field.name for item in term.alternatives}
        if term.min == 0 or len(fields) > 1:
            self.put(" = ".join(f"o.{name}" for name in sorted(fields)) + " = None")
        single = after[0] == after[1] and term.min == 1
        self.put(f"if {self.test(term)}:")
        self.depth += 1
        self.choose(term)
        if not single:
            self.settle(after, where)
        self.depth -= 1
        if term.min:
            self.put("else:")
            self.depth += 1
            self.refuse(where, "an event out of place")
            self.depth -= 1
        if single:
            self.pend += 1
            return False
        return True

    def test(self, term: Term) -> str:
        if term.first == term.last:
            return f"e == {term.first}"
        return f"{term.first} <= e <= {term.last}"

    def choose(self, term: Term) -> None:
        """Read the alternative e names and set its field."""
        several = term.alternatives
        names = {item.field.name for item in several}
        if len(several) > 3 and len(names) == 1:
            table = self.owner.constant(tuple(self.target(item) for item in several))
            which = f"e - {term.first}" if term.first else "e"
            self.put(f"x, p = space[{table}[{which}]](v, p)")
            self.put(f"o.{several[0].field.name} = x")
            return
        for index, item in enumerate(several):
            if len(several) > 1:
                self.put(f"{'if' if index == 0 else 'elif'} e == {term.first + index}:")
                self.depth += 1
            self.occurrence(item)
            if len(several) > 1:
                self.flush(f"{self.cls.__name__}.{item.name}")
            if not item.closed:
                self.put(f"o.{item.field.name} = x")
            if len(several) > 1:
                self.depth -= 1

    def target(self, item: Alternative) -> str:
        """The name of the function for one of many alternatives."""
        where = f"{self.cls.__name__}.{item.name}"
        if isinstance(item.type, type) and not item.closed:
            return self.owner.name(item.type)

        def refused(v: Any, p: int) -> tuple[Any, int]:
            raise bits.bad(where, "is abstract")

        return self.owner.constant(refused)

    def repeated(self, at: int, term: Term, known: bool) -> bool:
        """A list: the state depends on how many there were."""
        item = term.alternatives[0]
        where = f"{self.cls.__name__}.{item.field.name}"
        if not known:
            self.read(0, "e")
            if term.first:
                self.put(f"e += {term.first}")
        self.put(f"o.{item.field.name} = r = []; n = 0")
        in_parts = self.in_parts(term)
        if in_parts:
            self.put(f"if {self.test(term)}: w, b = part(v, p); p -= b")
            self.put("else: b = 0")
            self.data = "w"
        self.put(f"while {self.test(term)}:")
        self.depth += 1
        self.entry(term, in_parts)
        self.put("r.append(x); n += 1")
        if term.max is None:
            self.put(f"count_entry(v, {weight(self.cls)}, {where!r})")
        if in_parts:
            low = bits.PART_LOW_BITS
            self.put(f"if b and p < {low}: p += b; w, b = part(v, p); p -= b")
        self.after_entry(at, term)
        self.depth -= 1
        if in_parts:
            self.put("p += b")
            self.data = "v"
        if term.min:
            self.put(f"if n < {term.min}: raise bad({where!r}, 'too few')")
        return True

    def in_parts(self, term: Term) -> bool:
        """Whether entries are read from parts: quicker, but nothing counts inside."""
        grammar = self.owner.grammar
        return all(
            isinstance(item.type, type) and not grammar.open_inside(item.type)
            for item in term.alternatives
        )

    def entry(self, term: Term, in_parts: bool) -> None:
        """Read an entry; from the part at hand, or from the whole if it is longer."""
        first = term.alternatives[0]
        if len(term.alternatives) > 1:
            table = self.owner.constant(tuple(map(self.target, term.alternatives)))
            which = f"e - {term.first}" if term.first else "e"
            function = f"space[{table}[{which}]]"
        elif isinstance(first.type, type) and not first.closed:
            function = self.owner.name(first.type)
        else:
            self.occurrence(first)
            return
        if not in_parts:
            self.put(f"x, p = {function}(v, p)")
            return
        self.put(f"try: x, p = {function}(w, p)")
        self.put("except ValueError:")
        self.put("    if not b: raise")
        self.put(f"    x, p = {function}(v, p + b); p -= b")

    def after_entry(self, at: int, term: Term) -> None:
        """The event code behind an entry, by how many there were."""
        pend = self.pend
        cases: list[tuple[str, tuple[int, int]]] = []
        if term.min > 1:
            cases.append((f"n < {term.min}", (term.first, term.last)))
        if term.max is None:
            cases.append(("", self.row.again(at)))
        else:
            cases.append((f"n < {term.max}", self.row.again(at)))
            cases.append(("", self.row.allowed(at + 1)))
        for index, (test, state) in enumerate(cases):
            if len(cases) > 1:
                word = "if" if index == 0 else "elif" if test else "else"
                self.put(f"{word} {test}:" if test else "else:")
                self.depth += 1
            self.pend = pend
            self.settle(state, self.cls.__name__)
            if len(cases) > 1:
                self.depth -= 1
