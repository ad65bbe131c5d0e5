"""The heart alone: what one tick costs with 1, 8 and 32 EVSEs, and how it grows.

Fake devices, everything else real: session, faults, arbitration with a live signal, a
frequency service, shares of a tight connection, the command. One beat serves them all.
"""

from __future__ import annotations

import gc
import time
from statistics import median

from chargerd import config
from chargerd.config_grid_code import Droop, FrequencyService, GridCode, Service
from chargerd.model import StartRequest
from tests.bench.row import Row, percentile
from tests.unit.scheduler.stand import TOKEN, Stand

COUNTS = (1, 8, 32)
TICKS = 400
METER = config.Device(driver="x", at="serial:/dev/null")
CODE = GridCode(
    name="bench",
    over=Droop(deadband_hz=0.2, droop_pct=5.0),
    under=Droop(deadband_hz=0.2, droop_pct=5.0),
    services={"fcr": Service(points=((-0.2, -1.0), (0.2, 1.0)))},
)


def busy(count: int) -> Stand:
    """All EVSEs in energy, more wanted than the connection has, all stages at work."""
    site = config.Site(
        import_w=4000.0 * count,
        export_w=3000.0 * count,
        export_permit="BENCH",
        fuse_a=2000.0,
        meter=METER,
        nominal_hz=50,
        grid_code=CODE,
        frequency_service=FrequencyService(name="fcr", power_w=500.0 * count),
    )
    stand = Stand(count, site=site, with_site=True)
    stand.run(1.0)
    for evse_id in stand.vehicles:
        stand.plug(evse_id)
        stand.cycle.request(StartRequest(evse_id, TOKEN))
    stand.run(3.0)
    stand.reports.clear()
    return stand


def tick_ms(stand: Stand) -> list[float]:
    """CPU milliseconds of each beat of the cycle, the fake plant not counted."""
    taken = []
    for index in range(TICKS):
        stand.mono += 0.05
        stand.bridge.step(stand.mono, 0.05)
        stand.bridge.hertz = 50.0 + 0.3 * ((index % 40) - 20) / 20
        for vehicle in stand.vehicles.values():
            vehicle.mono = stand.mono
        if index % 20 == 0:
            stand.setpoint(-2000.0, 0.5, evse_id=1 + index % len(stand.vehicles))
        now = stand.now()
        begin = time.thread_time()
        stand.cycle.tick(now)
        taken.append((time.thread_time() - begin) * 1e3)
        stand.reports.clear()
    return taken


def run() -> list[Row]:
    """p50 and p99 a beat, and the exponent of its growth from 8 to 32 EVSEs."""
    rows: list[Row] = []
    p50: dict[int, float] = {}
    for count in COUNTS:
        stand = busy(count)
        gc.collect()
        gc.disable()
        try:
            taken = tick_ms(stand)
        finally:
            gc.enable()
        p50[count] = median(taken)
        rows.append(Row(f"tick, {count} EVSEs: p50", p50[count], "ms"))
        rows.append(
            Row(
                f"tick, {count} EVSEs: p99",
                percentile(taken, 0.99),
                "ms",
                "<= 20" if count == max(COUNTS) else "",
            )
        )
    growth = p50[32] / p50[8]
    rows.append(
        Row("tick, 32 against 8 EVSEs", growth, "x", "<= 8", "4 = linear, 16 = square")
    )
    rows.append(
        Row("one core at 20 Hz, 32 EVSEs", p50[32] / 50.0 * 100.0, "%", "<= 25")
    )
    return rows
