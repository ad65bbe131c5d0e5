"""What events want: reckoned beside the loop, one at a time, handed over on it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from chargerd.clock import Now
from chargerd.grid.follower import Follower
from chargerd.grid.work import Work
from tests.unit.grid.stand import ports


class Slow:
    """Its jobs wait until they may end."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.begun = self.most = self.running = 0
        self.threads: list[int] = []
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def tick(self, _now: Now) -> Callable[[], Work] | None:
        self.begun += 1
        return self._job

    def _job(self) -> Work:
        self.threads.append(threading.get_ident())
        self.running += 1
        self.most = max(self.most, self.running)
        self.has_begun.set()
        self.may_end.wait(10.0)
        self.running -= 1
        return Work()

    def reckoned(self, work: Work, _now: Now) -> Work:
        self.threads.append(threading.get_ident())
        work.save = {"kept": self.begun}
        return work


@pytest.mark.asyncio
async def test_the_loop_goes_on_while_it_is_reckoned() -> None:
    (made, told), core = ports(), Slow()
    follower = Follower(core, made, "grid.x")
    both = asyncio.gather(follower.follow(), follower.follow())
    await asyncio.to_thread(core.has_begun.wait, 10.0)  # no turn, if the loop is held
    assert (core.begun, core.running) == (1, 1)
    core.may_end.set()
    await both
    assert (core.begun, core.most) == (2, 1)
    here = threading.get_ident()
    assert [thread == here for thread in core.threads] == [False, True] * 2
    assert told.saved["grid.x", "state"] == {"kept": 2}
