"""What an OpenADR 3 VTN knows of us: our ven, its resources and targets, the programs.

Pure. Made once, and looked at anew each ten minutes. A VTN that has no vens, or lets us
make none, is still followed: then its events are told apart by what they name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chargerd.config import Evse
from chargerd.config_grid_servers import Openadr3
from chargerd.grid import openadr3_words as words
from chargerd.grid.openadr3_calls import PAGE, Call, Calls
from chargerd.grid.openadr3_read import Rules
from chargerd.grid.openadr3_words import Json

AGAIN_S = 600.0
MOST_ROWS, MOST_PROGRAMS = 256, 1000
KINDS = ("programs", "find ven", "make ven", "find resources", "make resource")


class Membership:
    """One step after the other, each a call; then it rests."""

    def __init__(self, config: Openadr3, evses: tuple[Evse, ...], calls: Calls) -> None:
        self._config, self._calls = config, calls
        names = config.resources or tuple(f"evse{evse.id}" for evse in evses)
        self.resources = dict(zip(names, (e.id for e in evses), strict=True))
        self._step = "programs" if config.programs else "find ven"
        self._programs: dict[str, str] = {}  # name -> id
        self._found: dict[str, str] = {}  # on the pages so far
        self._skip = 0
        self.ven_id = ""
        self._ven_targets: frozenset[str] = frozenset()
        self._targets: dict[str, int] = {}  # given to a resource -> EVSE
        self._missing: list[str] = []
        self._due_mono = 0.0

    @property
    def rules(self) -> Rules:
        """A followed program that the VTN does not have (yet) has no events."""
        programs = None
        if self._config.programs:
            programs = frozenset(self._programs.values())
        return Rules(
            self._config.ven_name,
            programs,
            self._targets | self.resources,
            self._ven_targets | frozenset(self._config.targets),
            self._config.priority,
        )

    def save(self) -> Json:
        """For the store: events of this run are judged by it in the next."""
        return {
            "programs": self._programs,
            "groups": sorted(self._ven_targets),
            "targets": self._targets,
        }

    def load(self, saved: Json) -> None:
        """What does not fit is left out."""
        self._programs = _texts(saved.get("programs"), self._config.programs)
        groups = saved.get("groups")
        if isinstance(groups, list):
            self._ven_targets = frozenset(g for g in groups if isinstance(g, str))
        targets = saved.get("targets")
        if isinstance(targets, dict):
            known = set(self.resources.values())
            numbers = {t: i for t, i in targets.items() if isinstance(i, int)}
            self._targets = {t: i for t, i in numbers.items() if i in known}

    def next(self, now_mono: float) -> Call | None:
        if now_mono < self._due_mono:
            return None
        calls = self._calls
        match self._step:
            case "programs":
                return calls.programs(self._skip)
            case "find ven":
                return calls.find_ven()
            case "make ven":
                return calls.make_ven()
            case "find resources":
                return calls.find_resources(self.ven_id)
        return calls.make_resource(self.ven_id, self._missing[0])

    def answered(self, call: Call, status: int, body: Any, now_mono: float) -> None:
        """Raises Refused for what is malformed; the step is left all the same."""
        if status >= 300:
            self.leave(now_mono)
            return
        self._step = "done"
        if call.kind == "programs":
            self._take_programs(words.listed(body, MOST_ROWS))
        elif call.kind in ("find ven", "make ven"):
            rows = words.listed(body if call.kind == "find ven" else [body], MOST_ROWS)
            self._take_ven(rows)
        elif call.kind == "find resources":
            self._take_resources(words.listed(body, MOST_ROWS))
        else:
            del self._missing[0]
            self._step = call.kind if self._missing else "done"
        if self._step == "done":
            self.leave(now_mono)

    def leave(self, now_mono: float) -> None:
        """Done, or no good answer: the other steps wait for the next time. A refusal of
        the programs is not one of the ven."""
        if self._step == "programs":
            self._step = "find ven"
            return
        self._step = "programs" if self._config.programs else "find ven"
        self._skip = 0
        self._due_mono = now_mono + AGAIN_S

    def _take_programs(self, rows: list[Json]) -> None:
        if not self._skip:
            self._found = {}
        for row in rows:
            name = words.text(row, "programName")
            if name in self._config.programs:
                self._found[name] = words.identifier(row, "id")
        self._skip += len(rows)
        if len(rows) == PAGE and self._skip < MOST_PROGRAMS:
            self._step = "programs"
        else:
            self._programs, self._step = self._found, "find ven"

    def _take_ven(self, rows: list[Json]) -> None:
        ours = [r for r in rows if r.get("venName") == self._config.ven_name]
        if not ours:
            self._step = "make ven" if self._config.register_ven else "done"
            return
        self.ven_id = words.identifier(ours[0], "id")
        # The VTN shows a ven of 3.1 only what it has the targets for: no need to check.
        old = self._config.version == "3.0"
        groups = {name for _, name in words.targets(ours[0])} if old else ()
        self._ven_targets = frozenset(groups)
        self._step = "find resources"

    def _take_resources(self, rows: list[Json]) -> None:
        names = {words.text(row, "resourceName") for row in rows}
        self._targets = {
            target: self.resources[row["resourceName"]]
            for row in rows
            if row.get("resourceName") in self.resources
            for _, target in words.targets(row)
        }
        self._missing = [name for name in self.resources if name not in names]
        wanted = self._config.register_ven and self._missing
        self._step = "make resource" if wanted else "done"


def _texts(value: Any, known: Sequence[str]) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {k: v for k, v in value.items() if k in known and isinstance(v, str)}
