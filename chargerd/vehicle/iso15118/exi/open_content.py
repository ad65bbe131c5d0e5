"""Content whose order is free: the automaton of a particle tree, read and written.

Only XML signature types need it (KeyInfo, X509Data, mixed content). xs:any has its
place in every event code, but no V2G message may use it: such an event is refused.
Slower than generated code and small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chargerd.vehicle.iso15118.exi.bits import (
    MANY,
    bad,
    count_entry,
    read_string,
    write_string,
)
from chargerd.vehicle.iso15118.exi.grammar import SIGNATURE_WEIGHT, Type, grouped
from chargerd.vehicle.iso15118.messages.declare import (
    Complex,
    Field,
    Group,
    One,
    Particle,
    Wildcard,
)

TEXT = "#text"
ANY = "#any"
END = "#end"
Frames = tuple[tuple[int, int], ...]  # (particle number, occurrences), innermost first
State = tuple[int, Frames]  # attributes behind us, content still possible


@dataclass(frozen=True, slots=True)
class Event:
    """One production and the state after it."""

    name: str
    type: Type | None
    attribute: bool
    goto: State


@dataclass(frozen=True, slots=True)
class Node:
    """A state: its productions in the order of their codes."""

    events: tuple[Event, ...]
    width: int
    by_name: dict[str, int]


class Automaton:
    """The states of a class with particles, made when first entered."""

    def __init__(self, cls: type[Complex]) -> None:
        self.cls = cls
        groups = list(grouped(cls))
        self.attributes = [g[0] for g in groups if g[0].kind == "attribute"]
        self.field: Field = groups[-1][0]
        self.parts: list[Particle] = []
        self.children: dict[int, tuple[int, ...]] = {}
        self.start: State = (0, ((self.number(self.field.type), 0),))
        self.nodes: dict[State, Node] = {}

    def number(self, part: Particle) -> int:
        """Give a particle and those inside it their numbers."""
        index = len(self.parts)
        self.parts.append(part)
        if isinstance(part, Group):
            self.children[index] = tuple(self.number(inner) for inner in part.parts)
        return index

    def node(self, state: State) -> Node:
        """The productions of a state."""
        found = self.nodes.get(state)
        if found is None:
            events = tuple(self.events(state))
            names = {event.name: i for i, event in enumerate(events)}
            found = Node(events, len(events).bit_length(), names)
            self.nodes[state] = found
        return found

    def events(self, state: State) -> Iterator[Event]:
        """Attributes, elements in order, the wildcard, the end, text."""
        passed, frames = state
        for index, field in enumerate(self.attributes[passed:], passed + 1):
            yield Event(field.name, field.type, True, (index, frames))
            if field.min:
                return
        passed = len(self.attributes)
        found: dict[int, Frames] = {}
        ends = self.first(frames, found, set())
        opened = False
        for number, after in found.items():
            part = self.parts[number]
            if isinstance(part, One):
                yield Event(part.name, part.type, False, (passed, after))
        for number, after in found.items():
            if isinstance(self.parts[number], Wildcard) and not opened:
                opened = True
                yield Event(ANY, None, False, (passed, after))
        if ends:
            yield Event(END, None, False, state)
        if self.cls.mixed_:
            yield Event(TEXT, None, False, (passed, frames))

    def first(
        self, frames: Frames, found: dict[int, Frames], seen: set[Frames]
    ) -> bool:
        """Leaf particles that may come next, into `found`; whether nothing need."""
        if not frames:
            return True
        if frames in seen:
            return False
        seen.add(frames)
        (number, count), rest = frames[0], frames[1:]
        part = self.parts[number]
        ends = False
        if part.max is None or count < part.max:
            more = min(count + 1, part.min) if part.max is None else count + 1
            back = ((number, more), *rest)
            if not isinstance(part, Group):
                found.setdefault(number, back)
            elif part.choice:
                for child in self.children[number]:
                    ends |= self.first(((child, 0), *back), found, seen)
            else:
                inner = tuple((child, 0) for child in self.children[number])
                ends |= self.first(inner + back, found, seen)
        if count >= part.min:
            ends |= self.first(rest, found, seen)
        return ends


@dataclass(frozen=True, slots=True)
class Step:
    """An event as the decoder takes it: what reads its value, where it leads."""

    name: str
    attribute: bool
    read: Any
    goto: State


class OpenDecoder:
    """Decode function of a class with particles."""

    def __init__(
        self,
        cls: type[Complex],
        value: Callable[[Type, str, bool], Any],
        function: Callable[[type[Complex]], Any],
    ) -> None:
        self.automaton = Automaton(cls)
        self.cls = cls
        self.value = value
        self.function = function
        self.content = self.automaton.field.name
        self.empty = tuple(field.name for field in self.automaton.attributes)
        self.steps: dict[State, tuple[int, list[Step | None]]] = {}

    def state(self, state: State) -> tuple[int, list[Step | None]]:
        """Bits of the event code in a state, and a place for each event."""
        node = self.automaton.node(state)
        found = self.steps[state] = (node.width, [None] * len(node.events))
        return found

    def step(self, state: State, code: int) -> Step:
        """The event with this code, made when it first comes."""
        event = self.automaton.node(state).events[code]
        where = f"{self.cls.__name__}.{event.name}"
        read: Any = None
        if isinstance(event.type, type):
            read = self.function(event.type)
        elif event.type is not None:
            read = self.value(event.type, where, not event.attribute)
        elif event.name == ANY:
            raise bad(where, "open content has no place in a V2G message")
        step = Step(event.name, event.attribute, read, event.goto)
        self.steps[state][1][code] = step
        return step

    def __call__(self, v: Any, p: int) -> tuple[Any, int]:
        made = self.cls.__new__(self.cls)
        for name in self.empty:
            setattr(made, name, None)
        items: list[Any] = []
        setattr(made, self.content, items)
        where = self.cls.__name__
        state = self.automaton.start
        while True:
            width, steps = self.steps.get(state) or self.state(state)
            p -= width
            code = v >> p & ((1 << width) - 1)
            if code >= len(steps):
                raise bad(where, "an event out of place")
            step = steps[code] or self.step(state, code)
            state = step.goto
            if step.attribute:
                x, p = step.read(v, p)
                setattr(made, step.name, x)
                continue
            if step.name == END:
                return made, p
            count_entry(v, SIGNATURE_WEIGHT, where)
            if step.read is None:
                p -= 8
                x, p = read_string(v, p, v >> p & 255, 0, None, where)
            else:
                x, p = step.read(v, p)
            items.append((step.name, x))


class OpenEncoder:
    """Encode function of a class with particles."""

    def __init__(
        self,
        cls: type[Complex],
        value: Callable[[Type, str], Any],
        function: Callable[[type[Complex]], Any],
    ) -> None:
        self.automaton = Automaton(cls)
        self.cls = cls
        self.value = value
        self.function = function
        self.writers: dict[str, Any] = {}

    def writer(self, event: Event) -> Any:
        """What writes the value of an event's type."""
        found = self.writers.get(event.name)
        if found is None:
            kind = event.type
            if isinstance(kind, type):
                found = self.function(kind)
            elif kind is not None:
                found = self.value(kind, f"{self.cls.__name__}.{event.name}")
            self.writers[event.name] = found
        return found

    def __call__(self, v: int, o: Any, out: list[bytes]) -> int:
        state = self.automaton.start
        for field in self.automaton.attributes:
            value = getattr(o, field.name)
            if value is None:
                continue
            node = self.automaton.node(state)
            code = node.by_name[field.name]
            event = node.events[code]
            v = self.writer(event)(v << node.width | code, value, out)
            state = event.goto
        items = getattr(o, self.automaton.field.name)
        if len(items) > MANY:
            raise ValueError
        for name, value in items:
            node = self.automaton.node(state)
            code = node.by_name[name]
            v = v << node.width | code
            event = node.events[code]
            state = event.goto
            if name == TEXT:
                v = write_string(v, value, 0, None)
            elif isinstance(event.type, type):
                if type(value) is not event.type:
                    raise TypeError
                v = self.writer(event)(v, value, out)
            else:
                v = self.writer(event)(v << 1, value, out) << 1
        node = self.automaton.node(state)
        return v << node.width | node.by_name[END]
