"""The daemon's side of the planner's process: starts it when needed, ends it when idle.

Owns the process and its deadline. Must never wait on the loop, and never trust what
comes back.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from chargerd.process import end
from chargerd.scheduler.planner import frames
from chargerd.scheduler.planner import problem as p

COMMAND = (sys.executable, "-m", "chargerd.scheduler.planner")
END_S = 2.0


class Child:
    """One question at a time; a child that is late or broken is killed."""

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = command
        self._process: Process | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def solve(self, problem: p.Problem, deadline_s: float) -> p.Solution:
        """PlannerError when there is no good answer within `deadline_s`."""
        # A large site's question takes tens of ms to write down: not on the loop.
        question = await asyncio.to_thread(_write, problem)
        try:
            async with asyncio.timeout(deadline_s):
                body = await self._ask(question)
        except TimeoutError as error:
            await self.close(patience_s=0.0)
            raise p.PlannerError(f"no answer within {deadline_s:.0f} s") from error
        except (OSError, EOFError) as error:
            await self.close()
            raise p.PlannerError(f"the planner's process has ended: {error}") from error
        except (asyncio.CancelledError, p.PlannerError):
            await self.close()
            raise
        return await asyncio.to_thread(_read, body, problem)

    async def _ask(self, question: bytes) -> bytes:
        process = await self._start()
        if process.stdin is None or process.stdout is None:
            raise p.PlannerError("the planner's process has no pipes")
        process.stdin.write(question)
        await process.stdin.drain()
        head = await process.stdout.readexactly(frames.HEAD)
        return await process.stdout.readexactly(frames.size(head))

    async def _start(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
            )
        return self._process

    async def close(self, patience_s: float = END_S) -> None:
        """End it: by closing its stdin, then by force."""
        process, self._process = self._process, None
        await end(process, patience_s)


def _write(problem: p.Problem) -> bytes:
    return frames.encode(p.pack_problem(problem))


def _read(body: bytes, problem: p.Problem) -> p.Solution:
    return p.read_solution(frames.decode(body), problem)
