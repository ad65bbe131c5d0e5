"""S2 instructions: which are alive, what they ask, and what becomes of each.

Pure. An instruction ends with the next one, when it is revoked, `hold_s` after its
time, or with its session. Must never outlive any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from chargerd.grid.windows import Window

MOST = 64  # alive
MOST_PARTS = 640  # of all together; the longest envelope has 576
FARTHEST_S = 2.0 * 86_400.0


@dataclass(slots=True)
class Part:
    """From `start_s` after the instruction's time."""

    start_s: float
    end_s: float
    wish_w: float | None = None
    limit_w: float | None = None
    discharge_limit_w: float | None = None


@dataclass(slots=True)
class Instruction:
    id: UUID
    kind: str  # "FRBC.Instruction", "PEBC.Instruction"
    at_mono: float
    parts: tuple[Part, ...]
    mode: str = ""  # of FRBC
    factor: float = 0.0
    started: bool = False


class Instructions:
    """In order of their time."""

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._alive: list[Instruction] = []
        self._known: dict[UUID, None] = {}  # ids of this session

    @property
    def active(self) -> Instruction | None:
        """The one that has begun."""
        begun = [one for one in self._alive if one.started]
        return begun[-1] if begun else None

    @property
    def parts(self) -> int:
        """Of all of them."""
        return sum(len(one.parts) for one in self._alive)

    def __len__(self) -> int:
        return len(self._alive)

    def known(self, ident: UUID) -> bool:
        return ident in self._known

    def add(self, instruction: Instruction) -> None:
        """Takes the place of one of the same time."""
        self._known[instruction.id] = None
        if len(self._known) > 16 * MOST:
            del self._known[next(iter(self._known))]
        self._alive.append(instruction)
        self._alive.sort(key=lambda one: one.at_mono)  # stable: the newest is last

    def revoke(self, ident: UUID) -> bool:
        """True if it was there."""
        before = len(self._alive)
        self._alive = [one for one in self._alive if one.id != ident]
        return len(self._alive) < before

    def clear(self) -> list[UUID]:
        """All of them end."""
        over = [one.id for one in self._alive]
        self._alive = []
        return over

    def tick(self, now_mono: float) -> Iterator[tuple[UUID, str]]:
        """What has become of each: InstructionStatus values."""
        begun = [one for one in self._alive if one.at_mono <= now_mono]
        for older in begun[:-1]:
            self._alive.remove(older)
            yield older.id, "SUCCEEDED" if older.started else "ABORTED"
        for one in begun[-1:]:
            if not one.started:
                one.started = True
                yield one.id, "STARTED"
            if now_mono >= self._end_mono(one):
                self._alive.remove(one)
                over = one.parts[-1].end_s < self._hold_s
                yield one.id, "SUCCEEDED" if over else "ABORTED"

    def _end_mono(self, one: Instruction) -> float:
        return one.at_mono + min(self._hold_s, one.parts[-1].end_s)

    def windows(self) -> Iterator[Window]:
        """Each until the next one begins."""
        for index, one in enumerate(self._alive):
            later = self._alive[index + 1 : index + 2]
            end_mono = self._end_mono(one)
            end_mono = min([end_mono, *(other.at_mono for other in later)])
            for part in one.parts:
                begin = one.at_mono + part.start_s
                end = min(end_mono, one.at_mono + part.end_s)
                if begin < end:
                    yield Window(
                        begin,
                        end,
                        0,
                        part.wish_w,
                        part.limit_w,
                        part.discharge_limit_w,
                    )
