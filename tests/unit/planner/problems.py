"""Small planning problems to vary."""

from __future__ import annotations

from dataclasses import replace

from chargerd.scheduler.planner import problem as p

PACK = p.Pack(
    evse_id=1,
    steps=6,
    energy=10.0,
    capacity=40.0,
    target=20.0,
    floor=4.0,
    ceiling=40.0,
    charge_kw=6.0,
    discharge_kw=6.0,
    give_kw=6.0,
    efficiency=0.9,
    knee=32.0,
    left=0.1 / 0.9,
)


def pack(**values: object) -> p.Pack:
    return replace(PACK, **values)  # type: ignore[arg-type]


def problem(
    buys: list[float],
    *packs: p.Pack,
    sells: list[float] | None = None,
    house_kw: float = 0.0,
    **values: object,
) -> p.Problem:
    """One step an hour."""
    sells = sells or [0.0] * len(buys)
    steps = tuple(
        p.Step(1.0, buy, sell, house_kw) for buy, sell in zip(buys, sells, strict=True)
    )
    whole = p.Problem(steps, packs or (PACK,), 50.0, 50.0)
    return replace(whole, **values)  # type: ignore[arg-type]
