"""A session at any point of its way, asked any message: only answers, all sendable.

Owns the sessions on their way (made once, copied for each input) and what must hold
after a hostile request. Bytes or random messages are brought by others.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import MESSAGES, codec, schema_of
from chargerd.vehicle.iso15118.messages import din, iso2
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc import iso20_graph
from tests.exi_random import Maker, roots
from tests.unit.vehicle_iso.secc.car2 import Car
from tests.unit.vehicle_iso.secc.car20 import Car as Car20
from tests.unit.vehicle_iso.secc.car_din import DinCar
from tests.unit.vehicle_iso.secc.ev2 import Stand
from tests.unit.vehicle_iso.secc.plant import RATINGS, TICK_S

AnyCar = Car | Car20 | DinCar

_TWO = (
    "setup",
    "discovery",
    "selection",
    "authorization",
    "parameters",
    "cable_check",
    "precharge",
    "power",
    "current_demand",
    "welding",
)
_TWENTY = (
    "setup",
    "authorization_setup",
    "authorization",
    "service_discovery",
    "service_detail",
    "parameters_dc",
    "schedule_dc",
    "cable_check",
    "pre_charge",
    "loop_dc",
)
_TWENTY_AC = ("parameters_ac", "schedule_ac", "ready_ac", "loop_ac")
CLOSES_FROM = ("cable_check", "precharge", "pre_charge", "power", "loop", "ready")

Make = Callable[[], Any]
WAYS: tuple[tuple[Make, str, tuple[str, ...]], ...] = (
    *((Car, at, ("iso2",)) for at in _TWO),
    *((DinCar, at, ("din",)) for at in _TWO),
    *((Car20, at, ("common", "dc")) for at in _TWENTY),
    *((lambda: Car20(5), at, ("common", "ac")) for at in _TWENTY_AC),
)


@cache
def _on_its_way(number: int) -> AnyCar:
    make, at, _ = WAYS[number]
    car: AnyCar = make()
    car.to(at)
    return car


def car_at(number: int) -> AnyCar:
    """A car of its own at `WAYS[number]`."""
    shared = {id(module): module for module in (din, iso2)}
    return copy.deepcopy(_on_its_way(number), shared)


def ask(car: AnyCar, schema: str, message: Any) -> None:
    """One request with the right session id; AssertionError where a law is broken."""
    if hasattr(message, "Header"):
        message.Header.SessionID = car.id
    raw = codec_bytes(schema, message)
    answer = car.session.request(message, car.plant.now, raw)
    if answer.message is not None:
        exi.encode(answer.message)
    state = car.run(TICK_S)
    car.session.next_timer()
    if not all(map(math.isfinite, (state.demand.voltage_v, car.plant.current_a))):
        raise AssertionError(f"{answer.request}: a demand that is no number")
    if not -RATINGS.discharge_max_a <= car.plant.current_a <= RATINGS.charge_max_a:
        raise AssertionError(f"{answer.request}: {car.plant.current_a} A")


def codec_bytes(schema: str, message: Any) -> bytes:
    """The request's EXI; nothing for what only a decoder makes (abstract heads)."""
    try:
        return codec(schema).encode(message)
    except V2gError:
        return b""


def message_for(car: AnyCar, schema: str, random: Random) -> Any:
    """A random message of a type that may come now; sometimes of any other."""
    declared = schema_of(MESSAGES + schema)
    maker = Maker(declared, random, random.choice((0.0, 0.3, 0.8)))
    graph = car.session.graph if isinstance(car, Stand) else iso20_graph.GRAPH
    wanted = set(graph.rows.get(car.session.at, {}))
    known = list(roots(declared))
    right = [root for root in known if root.type.__name__ in wanted]
    bodies = [cls for cls in declared.types if request_name_of(cls) in wanted]
    envelope = [root for root in known if root.name == "V2G_Message"]
    message = maker.message(random.choice(envelope or right or known))
    if envelope and bodies and random.random() < 0.9:
        message.Body.BodyElement = maker.value(random.choice(bodies), 0)
    return message


def request_name_of(cls: type[Complex]) -> str:
    """The element's name; DIN's SessionStop type has another."""
    return "SessionStopReq" if cls.__name__ == "SessionStop" else cls.__name__


def conversation(seed: int) -> None:
    """Up to six random messages from a random point of the way on."""
    random = Random(seed)
    number = random.randrange(len(WAYS))
    car = car_at(number)
    for _ in range(random.choice((1, 2, 6))):
        schema = random.choice(WAYS[number][2])
        ask(car, schema, message_for(car, schema, random))


def session(data: bytes) -> None:
    """First byte: where the session is; second: which schema set; then a message."""
    if len(data) < 3:
        return
    number = data[0] % len(WAYS)
    schemas = WAYS[number][2]
    schema = schemas[data[1] % len(schemas)]
    try:
        message = exi.decode(schema, data[2:])
    except V2gError:
        return
    car = car_at(number)
    before = car.state.demand.close_dc
    ask(car, schema, message)
    early = not WAYS[number][1].startswith(CLOSES_FROM)
    if early and not before and car.plant.dc_closed:
        raise AssertionError(f"{WAYS[number][1]}: the contactor closed")
