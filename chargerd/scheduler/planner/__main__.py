"""The planner's process: problems on stdin, solutions on stdout, at nice 15.

Started by the daemon (child.py), ends when stdin ends. Imports the solver; the daemon
never does.
"""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO

from chargerd.scheduler.planner import frames
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.solver import Solver

NICE = 15


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer frame by frame until the source ends; each begins where the last ended."""
    solver = Solver()
    while len(head := source.read(frames.HEAD)) == frames.HEAD:
        body = source.read(frames.size(head))
        sink.write(frames.encode(_answer(solver, body)))
        sink.flush()


def _answer(solver: Solver, body: bytes) -> dict[str, Any]:
    try:
        return p.pack_solution(solver.solve(p.read_problem(frames.decode(body))))
    except p.PlannerError as error:
        return {"error": str(error)}


def main() -> None:
    """The solver prints a greeting to descriptor 1: frames get one of their own."""
    os.nice(NICE)
    with open(os.dup(1), "wb") as sink:
        os.dup2(2, 1)
        serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
