"""Makes one encode function per class: source text from its row, compiled on first use.

An encode function is `f(v, o, out) -> v`, see bits.py. Zero bits that are due (`pend`)
are not written alone: they widen the next shift. A value that cannot be raises whatever
comes first (TypeError, ValueError, KeyError, AttributeError); the face then looks for
the reason with explain.py. Owns the writing half of the codec.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from chargerd.vehicle.iso15118.exi import bits
from chargerd.vehicle.iso15118.exi.bits import MANY
from chargerd.vehicle.iso15118.exi.grammar import (
    Alternative,
    Grammar,
    Row,
    Term,
    Type,
    has_particles,
    width,
)
from chargerd.vehicle.iso15118.exi.open_content import OpenEncoder
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

Encode = Callable[[int, Any, list[bytes]], int]


class Encoders:
    """Encode functions of one schema set, made when first asked for."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.names: dict[type[Complex], str] = {}
        # Names are never given twice, also when two threads build at the same time.
        self.numbers = count()
        self.made: dict[type[Complex], Encode] = {}
        self.space: dict[str, Any] = {
            "write_bounded": bits.write_bounded,
            "write_signed": bits.write_signed,
            "write_string": bits.write_string,
            "write_blob": bits.write_blob,
            "spill": bits.spill,
            "SPILL": bits.SPILL,
        }
        self.space["space"] = self.space

    def function(self, cls: type[Complex]) -> Encode:
        """The encode function of a class, compiled now if need be."""
        found = self.made.get(cls)
        if found is None:
            name = self.name(cls)
            found = self.made[cls] = self.space[name] = self.make(cls, name)
        return found

    def name(self, cls: type[Complex]) -> str:
        """Its name in generated code; a maker stands there until the first call."""
        name = self.names.get(cls)
        if name is None:
            name = f"e{next(self.numbers)}_{cls.__name__}"
            self.names[cls] = name

            def first_call(v: int, o: Any, out: list[bytes]) -> int:
                return self.function(cls)(v, o, out)

            self.space[name] = first_call
        return name

    def make(self, cls: type[Complex], name: str) -> Encode:
        """Compile the function of a class."""
        if has_particles(cls):
            return OpenEncoder(cls, self.value, self.function)
        text = Writer(self, cls, self.grammar.row(cls)).source(name)
        # The text is made from our own declarations alone, never from input.
        exec(compile(text, f"<exi {name}>", "exec"), self.space)  # noqa: S102
        made: Encode = self.space[name]
        return made

    def value(self, kind: Type, where: str) -> Encode:
        """Encode the typed value alone (no events), for the open interpreter."""
        name = f"v{next(self.numbers)}"
        text = Writer(self, Complex, Row((), 0)).value_source(name, kind)
        exec(compile(text, f"<exi {where}>", "exec"), self.space)  # noqa: S102
        made: Encode = self.space[name]
        return made

    def constant(self, value: object) -> str:
        """A name for an object generated code needs."""
        name = f"c{next(self.numbers)}"
        self.space[name] = value
        return name


class Writer:
    """Writes the source of one function, line by line."""

    def __init__(self, owner: Encoders, cls: type[Complex], row: Row) -> None:
        self.owner = owner
        self.cls = cls
        self.row = row
        self.lines: list[str] = []
        self.depth = 1
        self.pend = 0

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def shifted(self, count: int) -> str:
        """`v` with room for `count` bits behind the pending ones."""
        total = count + self.pend
        self.pend = 0
        return f"v << {total}" if total else "v"

    def flush(self) -> None:
        if self.pend:
            self.put(f"v = {self.shifted(0)}")

    # --- values ---

    def value(self, kind: Type) -> None:
        """Write x."""
        match kind:
            case Boolean():
                room = self.shifted(1)
                self.put(f"if x is True: v = {room} | 1")
                self.put(f"elif x is False: v = {room}")
                self.put("else: raise TypeError")
            case Enumeration():
                table = self.owner.constant(
                    {value: index for index, value in enumerate(kind.values)}
                )
                room = self.shifted(code_bits(len(kind.values)))
                self.put(f"v = {room} | {table}[x]")
            case Integer():
                self.integer(kind)
            case String():
                self.put(
                    f"v = write_string({self.shifted(0)}, x, {kind.min}, {kind.max})"
                )
            case Hex() | Base64():
                self.put(
                    f"v = write_blob({self.shifted(0)}, x, {kind.min}, {kind.max}, out)"
                )
            case _:
                cls = self.owner.constant(kind)
                self.put(f"if x.__class__ is not {cls}: raise TypeError")
                self.put(f"v = {self.owner.name(kind)}({self.shifted(0)}, x, out)")

    def integer(self, kind: Integer) -> None:
        """One of the three integer codings, by the range."""
        count = bounds(kind)
        low, high = kind.min, kind.max
        if count is not None:
            self.put(f"if not {low} <= x <= {high}: raise ValueError")
            offset = f"x - {low}" if low else "x"
            self.put(f"v = {self.shifted(count)} | {offset}")
            return
        signed = low is None or low < 0
        pend = self.pend
        room = self.shifted(9 if signed else 8)
        self.pend = pend
        small_low = max(low or 0, 0)
        small_high = min(127, high) if high is not None else 127
        self.put(f"if {small_low} <= x <= {small_high}: v = {room} | x")
        helper = "write_signed" if signed else "write_bounded"
        self.put(f"else: v = {helper}({self.shifted(0)}, x, {low}, {high})")

    def value_source(self, name: str, kind: Type) -> str:
        """A function that writes one value."""
        self.value(kind)
        self.put("return v")
        return f"def {name}(v, x, out):\n" + "\n".join(self.lines) + "\n"

    # --- events ---

    def occurrence(self, item: Alternative) -> None:
        """What follows the event code; x holds the value."""
        simple = not isinstance(item.type, type) and item.field.kind == "element"
        if simple:
            self.pend += 1
        self.value(item.type)
        if simple:
            self.pend += 1

    def code(self, known: bool, state: tuple[int, int], index: int) -> None:
        """The event code of production `index`."""
        first, last = state
        if not known:
            # Several states lead here: s and w say which (first production, bits).
            self.flush()
            self.put(f"v = v << w | {index} - s")
        elif first == last:
            self.pend += 1
        else:
            room = self.shifted(width(first, last))
            self.put(
                f"v = {room} | {index - first}" if index > first else f"v = {room}"
            )

    def leave(self, state: tuple[int, int]) -> None:
        """Remember the state for a place several states lead to; pending bits too."""
        first, last = state
        self.put(f"s = {first}; w = {width(first, last) + self.pend}")
        self.pend = 0

    def source(self, name: str) -> str:
        """The whole function."""
        state = self.row.allowed(0)
        known = True
        for at, term in enumerate(self.row.terms):
            state, known = self.term(at, term, state, known)
        self.code(known, state, self.row.end)
        self.flush()
        self.put("return v")
        return f"def {name}(v, o, out):\n" + "\n".join(self.lines) + "\n"

    def term(
        self, at: int, term: Term, state: tuple[int, int], known: bool
    ) -> tuple[tuple[int, int], bool]:
        """One term; the state after it and whether it is the only one possible."""
        after = self.row.allowed(at + 1)
        if term.many:
            return self.repeated(at, term, state, known)
        names = {item.field.name for item in term.alternatives}
        if len(names) > 1:
            return self.choice(at, term, state, known)
        self.put(f"x = o.{term.alternatives[0].field.name}")
        if term.min:
            self.one_of(term, state, known)
            return after, True
        if known:
            self.leave(state)
        self.put("if x is not None:")
        self.depth += 1
        self.one_of(term, state, False)
        self.leave(after)
        self.depth -= 1
        return after, False

    def one_of(self, term: Term, state: tuple[int, int], known: bool) -> None:
        """Event code and value where the value's class tells the alternative."""
        if len(term.alternatives) == 1:
            self.code(known, state, term.first)
            self.occurrence(term.alternatives[0])
            return
        self.substitution(term, state, known)

    def substitution(self, term: Term, state: tuple[int, int], known: bool) -> None:
        """One of the elements that may stand here, by class."""
        table = {
            item.type: (index, self.owner.name(item.type))
            for index, item in enumerate(term.alternatives, term.first)
            if isinstance(item.type, type) and not item.closed
        }
        name = self.owner.constant(table)
        self.put(f"i, f = {name}[x.__class__]")
        if known:
            first, last = state
            self.put(f"v = {self.shifted(width(first, last))} | i - {first}")
        else:
            self.flush()
            self.put("v = v << w | i - s")
        self.put("v = space[f](v, x, out)")

    def choice(
        self, at: int, term: Term, state: tuple[int, int], known: bool
    ) -> tuple[tuple[int, int], bool]:
        """xs:choice: exactly one field is set (or none, if it may be left out)."""
        after = self.row.allowed(at + 1)
        if known:
            self.leave(state)
        names = list(dict.fromkeys(item.field.name for item in term.alternatives))
        for index, field in enumerate(names):
            word = "elif" if index else "if"
            self.put(f"{word} o.{field} is not None:")
            self.depth += 1
            others = [f"o.{other} is not None" for other in names[index + 1 :]]
            if others:
                self.put(f"if {' or '.join(others)}: raise ValueError")
            self.put(f"x = o.{field}")
            mine = [a for a in term.alternatives if a.field.name == field]
            first = term.first + term.alternatives.index(mine[0])
            self.one_of(
                Term(tuple(mine), first, term.min, term.max, False), state, False
            )
            self.leave(after)
            self.depth -= 1
        if term.min:
            self.put("else: raise ValueError")
        return after, False

    def repeated(
        self, at: int, term: Term, state: tuple[int, int], known: bool
    ) -> tuple[tuple[int, int], bool]:
        """A list: the state depends on how many there were."""
        if known:
            self.leave(state)
        self.put(f"r = o.{term.alternatives[0].field.name}; n = 0")
        self.put("for x in r:")
        self.depth += 1
        self.one_of(term, state, False)
        self.put("n += 1")
        pend = self.pend
        cases: list[tuple[str, tuple[int, int]]] = []
        if term.min > 1:
            cases.append((f"n < {term.min}", (term.first, term.last)))
        if term.max is None:
            cases.append(("", self.row.again(at)))
        else:
            cases.append((f"n < {term.max}", self.row.again(at)))
            cases.append(("", self.row.allowed(at + 1)))
        for index, (test, after) in enumerate(cases):
            if len(cases) > 1:
                word = "if" if index == 0 else "elif" if test else "else"
                self.put(f"{word} {test}:" if test else "else:")
                self.depth += 1
            self.pend = pend
            self.leave(after)
            if len(cases) > 1:
                self.depth -= 1
        self.put("if v > SPILL: v = spill(v, out)")
        self.depth -= 1
        limits = [f"n < {term.min}"] if term.min else []
        limits.append(f"n > {MANY if term.max is None else term.max}")
        self.put(f"if {' or '.join(limits)}: raise ValueError")
        return self.row.allowed(at + 1), False
