"""Any bytes: a message or our one exception, the same message again, little memory."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from tests import exi_dense
from tests.fuzz import targets
from tests.fuzz.run import mutate

NAMES = sorted(targets.TARGETS)


@cache
def seeds(name: str) -> list[bytes]:
    return list(targets.seeds(name))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes(name: str, data: bytes) -> None:
    targets.TARGETS[name](data)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), which=st.integers(0, 2**16))
def test_good_bytes_changed(name: str, seed: int, which: int) -> None:
    known = seeds(name)
    targets.TARGETS[name](mutate(Random(seed), known[which % len(known)]))


def test_every_prefix_of_a_message_is_refused() -> None:
    """Cut anywhere, a message is no message; nor is one with rubbish behind it."""
    for data in seeds("decode")[::7]:
        schema, message = exi.SCHEMAS[data[0]], data[1:]
        exi.decode(schema, message)
        for end in range(len(message)):
            with pytest.raises(V2gError):
                exi.decode(schema, message[:end])
        with pytest.raises(V2gError):
            exi.decode(schema, message + b"\x01")


def peak_bytes(run: Callable[[], Any]) -> int:
    """The most memory that `run` held beyond what it found."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def read(schema: str, data: bytes) -> None:
    try:
        exi.decode(schema, data)
    except V2gError:
        return


def test_a_short_message_cannot_take_much_memory() -> None:
    """60 bytes, among them lengths of 4 GB, hold no more than 100 kB."""
    random = Random(1)
    for data in seeds("decode")[::3]:
        schema = exi.SCHEMAS[data[0]]
        read(schema, data[1:])  # what is built once is not the message's
        for at in range(1, min(len(data), 55), 6):
            hostile = (data[1:at] + b"\xff\xff\xff\xff\x0f" + random.randbytes(60))[:60]
            read(schema, hostile)
            assert peak_bytes(lambda s=schema, d=hostile: read(s, d)) < 100_000


def calls(run: Callable[[], Any]) -> int:
    """How many functions `run` calls, Python's and built-in ones: work without time."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def test_work_grows_with_the_bytes_alone() -> None:
    """10 kB of anything costs a bounded number of steps per byte."""
    long = [data for data in seeds("decode") if len(data) > 300]
    cases = list(exi_dense.bombs().values())
    cases += [(exi.SCHEMAS[data[0]], data[1:]) for data in long]
    filler = (b"\x00", b"\x55", b"\xaa", b"\xff", b"\x02")
    for data in seeds("decode")[::5]:
        schema = exi.SCHEMAS[data[0]]
        cases += [(schema, data[1:9] + each * 10_000) for each in filler]
    for schema, data in cases:
        read(schema, data)
        steps = calls(lambda s=schema, d=data: read(s, d))
        assert steps <= 500 + 5 * len(data), (schema, data[:40].hex())
