"""How long the dearest message that each grid door takes holds the loop (law 7).

Best of several, in time of the processor: not what else the machine did. Answers of
OpenADR servers are read and reckoned with beside the loop; what is left is measured.
"""

from __future__ import annotations

import gc
import json
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from chargerd.grid import s2_instructions
from chargerd.grid.echonet import MOST_PROPERTIES
from chargerd.grid.echonet_frame import Esv
from chargerd.grid.ieee2030_5_door import LINE_MAX
from chargerd.grid.mqtt_prices import MAX_BYTES, MAX_PARTS
from chargerd.grid.mqtt_words import Refused
from chargerd.grid.openadr2_events import MOST_EVENTS, MOST_TOGETHER
from chargerd.grid.openadr3_words import MOST_COMMAS, parse
from chargerd.grid.s2_door import MESSAGE_MAX
from chargerd.grid.s2_words import MOST_COMMAS as MOST_COMMAS_S2
from chargerd.grid.s2_words import PEBC
from chargerd.grid.sunspec_modbus import MOST_READ
from chargerd.grid.sunspec_points import BASE
from chargerd.grid.work import Work
from chargerd.store.kv import encoded
from tests.bench.row import Row
from tests.security.test_grid_openadr3 import dear
from tests.unit.grid import openadr2_stand, openadr3_stand, s2_stand
from tests.unit.grid.ieee2030_5_stand import Stand as DerStand
from tests.unit.grid.stand import UTC0, at
from tests.unit.grid.test_echonet import ALL, ask, node
from tests.unit.grid.test_mqtt import core
from tests.unit.grid.test_sunspec import ask as read_registers
from tests.unit.grid.test_sunspec import server

Json = dict[str, Any]
TIMES = 5
GOAL = "<= 5"
PRICES = "chargerd/CS1/prices/set"
LONGEST = 288  # elements of an S2 envelope: s2-python takes no more


def best_ms(make: Callable[[], Callable[[], object]]) -> float:
    """Of what `make` gives, each time anew."""
    found = []
    for _ in range(TIMES):
        work = make()
        gc.collect()  # what `make` left is not the door's
        began = time.thread_time()
        work()
        found.append(time.thread_time() - began)
    return min(found) * 1e3


def openadr2() -> list[Row]:
    """As many events and intervals as are taken together, all at the same time."""
    per_event = MOST_TOGETHER // MOST_EVENTS
    events = [
        openadr2_stand.event(
            f"E{n}", openadr2_stand.signal(*range(per_event)), length="PT24H"
        )
        for n in range(MOST_EVENTS)
    ]
    body = {"code": "200", "request_id": "Q1", "events": events}
    answer = {"type": "oadrDistributeEvent", "body": body, "date": ""}

    def stand() -> tuple[openadr2_stand.Stand, Any]:
        made = openadr2_stand.Stand()
        made.register()
        made.answer(made.expect("reports"), "oadrRegisteredReport")
        return made, made.expect("events")

    def heard() -> openadr2_stand.Stand:
        made, call = stand()
        made.ven.answered(call, answer, made.ven.read(answer), made.now)
        return made

    def read() -> Callable[[], object]:
        made, _ = stand()
        return lambda: made.ven.read(answer)

    def take() -> Callable[[], object]:
        made, call = stand()
        ready = made.ven.read(answer)
        return lambda: made.ven.answered(call, answer, ready, made.now)

    def reckon() -> Callable[[], object]:
        made = heard()
        job = made.ven.tick(made.now)
        return job or bool

    def follow() -> Callable[[], object]:
        made = heard()
        return lambda: made.ven.tick(made.now)

    def keep() -> Callable[[], object]:
        made = heard()
        job = made.ven.tick(made.now)
        work = Work() if job is None else job()
        return lambda: encoded("n", "k", made.ven.reckoned(work, made.now).save)

    beside, on = best_ms(read) + best_ms(reckon), best_ms(take)
    others = max(best_ms(follow), best_ms(keep))
    what = f"OpenADR 2.0b, {MOST_TOGETHER} intervals"
    return [
        Row(f"{what}: beside the loop", beside, "ms"),
        Row(f"{what}: the longest step on it", max(on, others), "ms", GOAL),
    ]


def openadr3() -> list[Row]:
    """Cycles of seconds, both caps at once."""
    kinds = ("IMPORT_CAPACITY_LIMIT", "EXPORT_CAPACITY_LIMIT")
    events = [dear(n, *kinds) for n in range(MOST_EVENTS)]
    pages = events[:50], events[50:]
    texts = [json.dumps(page).encode() for page in pages]

    def heard() -> openadr3_stand.Stand:
        """A list that is not judged yet."""
        made = openadr3_stand.Stand()
        made.rest_until_events()
        for page in pages:
            made.ven.answered(made.calls[-1], 200, page, None, made.now)
            made.next()
        return made

    def judge() -> Callable[[], object]:
        made = heard()
        return made.ven.to_judge(made.now) or bool

    def judged() -> openadr3_stand.Stand:
        made = heard()
        job = made.ven.to_judge(made.now)
        if job is not None:
            made.ven.judged(job())
        return made

    def reckon() -> Callable[[], object]:
        made = judged()
        return made.ven.tick(made.now) or bool

    def take() -> Callable[[], object]:
        made = heard()
        job = made.ven.to_judge(made.now)
        listing = None if job is None else job()
        return (lambda: made.ven.judged(listing)) if listing else bool

    def follow() -> Callable[[], object]:
        made = judged()
        return lambda: made.ven.tick(made.now)

    def keep() -> Callable[[], object]:
        made = judged()
        job = made.ven.tick(made.now)
        work = Work() if job is None else job()
        return lambda: encoded("n", "k", made.ven.reckoned(work, made.now).save)

    def dense() -> Callable[[], object]:
        text = b"{" + b",".join(b'"%d":0.1' % n for n in range(MOST_COMMAS)) + b"}"
        return lambda: parse(text)

    beside = sum(best_ms(lambda t=t: lambda: parse(t)) for t in texts)
    beside += best_ms(judge) + best_ms(reckon)
    on = max(best_ms(take), best_ms(follow), best_ms(keep))
    what = f"OpenADR 3, {len(events)} events"
    return [
        Row(f"{what}: beside the loop", beside, "ms"),
        Row(f"{what}: the longest step on it", on, "ms", GOAL),
        Row("OpenADR 3, most JSON that is read at once", best_ms(dense), "ms", GOAL),
    ]


def s2() -> list[Row]:
    """An envelope, and a message that is refused, each as long as is taken; then all
    instructions of the largest size, reckoned with."""

    def up() -> s2_stand.Stand:
        stand = s2_stand.Stand()
        stand.up(PEBC)
        return stand

    def text(stand: s2_stand.Stand, count: int, **changes: Any) -> str:
        """Elements that each are a cap and a wish."""
        fields = stand.pebc(*((0.1, 1.0 + n, 2.0 + n) for n in range(count)), **changes)
        made = {"message_type": "PEBC.Instruction", "message_id": str(stand.new_id())}
        said = json.dumps({**made, **fields}, separators=(",", ":"))
        assert len(said) <= MESSAGE_MAX
        return said

    def envelope() -> Callable[[], object]:
        stand = up()
        said = text(stand, LONGEST)
        return lambda: stand.manager.receive(said, stand.now)

    def refused() -> Callable[[], object]:
        stand = up()
        said = text(stand, 1, power_envelopes=[{}] * (MOST_COMMAS_S2 - 20))
        return lambda: stand.manager.receive(said, stand.now)

    def follow() -> Callable[[], object]:
        stand = up()
        for n in range(s2_instructions.MOST):
            later = (stand.now.utc + timedelta(seconds=10 + n / 2)).isoformat()
            said = text(stand, 5, execution_time=later)
            stand.manager.receive(said, stand.now)
        assert stand.manager.instructions.parts == s2_instructions.MOST_PARTS
        return lambda: stand.manager.tick(stand.now)

    return [
        Row("S2, the longest envelope", best_ms(envelope), "ms", GOAL),
        Row("S2, the longest message that is refused", best_ms(refused), "ms", GOAL),
        Row("S2, all instructions", best_ms(follow), "ms", GOAL),
    ]


def small() -> list[Row]:
    """Doors whose messages are small."""

    def prices() -> Callable[[], object]:
        door = core()
        start = UTC0 + timedelta(seconds=100)
        parts = [
            {
                "start_utc": (start + timedelta(minutes=15 * n)).isoformat(),
                "buy_per_kwh": 0.1,
                "sell_per_kwh": 0.1,
                "co2_g_per_kwh": 1.0,
            }
            for n in range(MAX_PARTS)
        ]
        until = (start + timedelta(days=4)).isoformat()
        payload = json.dumps({"parts": parts, "until_utc": until}).encode()
        return lambda: door.receive(PRICES, payload, at(100.0))

    def nonsense() -> Callable[[], object]:
        payload = b"[" + b"{}," * (MAX_BYTES // 3 - 2) + b"0]"

        def hear() -> None:
            with suppress(Refused):
                core().receive(PRICES, payload, at(100.0))

        return hear

    def echonet() -> Callable[[], object]:
        door = node()
        asked = [(0x9F, b"")] * MOST_PROPERTIES
        return lambda: ask(door, Esv.GET, *asked, target=ALL)

    def registers() -> Callable[[], object]:
        door = server()
        request = struct.pack(">BHH", 3, BASE, MOST_READ)
        return lambda: read_registers(door, request)

    def line() -> Callable[[], object]:
        stand = DerStand()
        text = json.dumps(
            {"mode": "droop", "params": {"x": [0] * (LINE_MAX // 3 - 40)}}
        )
        return lambda: stand.controls.receive(json.loads(text), stand.now)

    return [
        Row(f"MQTT, {MAX_PARTS} prices", best_ms(prices), "ms", GOAL),
        Row("MQTT, the longest payload", best_ms(nonsense), "ms", GOAL),
        Row("ECHONET Lite, most properties", best_ms(echonet), "ms", GOAL),
        Row("SunSpec, most registers", best_ms(registers), "ms", GOAL),
        Row("IEEE 2030.5, the process's longest line", best_ms(line), "ms", GOAL),
    ]


def run() -> list[Row]:
    """For `make bench`."""
    return [*openadr2(), *openadr3(), *s2(), *small()]
