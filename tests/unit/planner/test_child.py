"""The planner's process: frames, deadline, and a child that lies."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from typing import Any

import pytest

from chargerd.scheduler.planner import frames, rule
from chargerd.scheduler.planner import problem as p
from chargerd.scheduler.planner.child import Child
from tests.unit.planner.problems import pack, problem

QUESTION = problem(
    [0.1, 0.3, 0.2],
    pack(steps=3),
    reserves=(p.Reserve("fcr", 1.0, 0.0, 0.5, ((0, 2),)),),
)
GOOD: dict[str, Any] = p.pack_solution(rule.solve(QUESTION))


def test_question_and_answer_survive_the_wire() -> None:
    body = frames.encode(p.pack_problem(QUESTION))
    assert frames.size(body[: frames.HEAD]) == len(body) - frames.HEAD
    assert p.read_problem(frames.decode(body[frames.HEAD :])) == QUESTION
    answer = json.loads(json.dumps(GOOD))
    assert p.read_solution(answer, QUESTION) == rule.solve(QUESTION)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        7,
        {"error": "HiGHS: Infeasible"},
        GOOD | {"traces": []},
        GOOD | {"traces": [GOOD["traces"][0] | {"evse_id": 9}]},
        GOOD | {"traces": [GOOD["traces"][0] | {"power_kw": [1.0]}]},
        GOOD | {"traces": [GOOD["traces"][0] | {"power_kw": [1.0, 2.0, float("nan")]}]},
        GOOD | {"traces": [GOOD["traces"][0] | {"up_kw": [float("inf")] * 3}]},
        GOOD | {"shares": []},
        GOOD | {"shares": [[float("nan")]]},
        GOOD | {"cost": float("inf")},
        GOOD | {"cost": "much"},
    ],
)
def test_a_bad_answer_is_refused(answer: Any) -> None:
    with pytest.raises(p.PlannerError):
        p.read_solution(answer, QUESTION)


@pytest.mark.parametrize(
    "question", [{}, [], {"packs": [], "steps": []}, {"packs": 1, "steps": []}]
)
def test_a_bad_question_is_refused(question: Any) -> None:
    with pytest.raises(p.PlannerError):
        p.read_problem(question)


def test_a_frame_may_not_be_huge_nor_garbage() -> None:
    with pytest.raises(p.PlannerError):
        frames.size(b"\xff\xff\xff\xff")
    with pytest.raises(p.PlannerError):
        frames.decode(b"{")


def test_the_process_serves_until_its_input_ends() -> None:
    serve = pytest.importorskip("chargerd.scheduler.planner.__main__").serve
    good = frames.encode(p.pack_problem(QUESTION))
    sink = io.BytesIO()
    serve(io.BytesIO(frames.encode({"x": 1}) + good), sink)
    sink.seek(0)
    answers = []
    while head := sink.read(frames.HEAD):
        answers.append(frames.decode(sink.read(frames.size(head))))
    assert "error" in answers[0]
    assert p.read_solution(answers[1], QUESTION).solver == "highs"


@pytest.mark.process
def test_a_real_child_answers_at_low_priority_and_ends() -> None:
    pytest.importorskip("highspy")

    async def story() -> None:
        child = Child()
        try:
            solution = await child.solve(QUESTION, 25.0)
            assert solution.solver == "highs"
            assert child.running
            process = child._process
            assert process is not None
            assert os.getpriority(os.PRIO_PROCESS, process.pid) >= 15
            await child.solve(QUESTION, 25.0)
            assert child._process is process  # kept for the next question
        finally:
            await child.close()
        assert not child.running

    asyncio.run(story())


@pytest.mark.process
@pytest.mark.parametrize(
    "script",
    [
        "import sys; sys.exit(1)",
        "print('hello' * 100)",
        "import sys; sys.stdout.buffer.write(b'\\0\\0\\0\\2{]'); sys.stdout.flush()",
    ],
)
def test_a_broken_child_is_an_error_and_gone(script: str) -> None:
    async def story() -> None:
        child = Child((sys.executable, "-c", script))
        with pytest.raises(p.PlannerError):
            await child.solve(QUESTION, 25.0)
        await child.close()
        assert not child.running

    asyncio.run(story())


@pytest.mark.process
def test_a_late_child_is_killed() -> None:
    async def story() -> None:
        child = Child((sys.executable, "-c", "import sys; sys.stdin.read()"))
        with pytest.raises(p.PlannerError, match="no answer"):
            await child.solve(QUESTION, 0.2)
        assert not child.running

    asyncio.run(story())
