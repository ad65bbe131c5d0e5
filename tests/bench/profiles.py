"""How long a charging profile of the largest size holds the loop (law 7).

3 x 1,024 periods, for an ISO 15118-20 transaction: read beside the loop as the client
does, then set, reported as a composite schedule and told to the vehicle.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from chargerd.model import SessionPhase, VehicleNeeds, VehicleState
from tests.bench.row import Row
from tests.unit.ocpp.profile_kit import profile
from tests.unit.ocpp.station_rig import Rig
from tests.unit.ocpp.station_rig import report as report_of

TIMES = 20
PERIODS = 1024
NEEDS = VehicleNeeds("DC_BPT", asked=1, max_entries=PERIODS)


def largest(transaction: str) -> dict[str, Any]:
    """Limits and setpoints, a new one each minute."""
    periods = [
        {
            "startPeriod": 60 * n,
            "operationMode": "CentralSetpoint",
            "limit": 6000.0 - n,
            "dischargeLimit": -3000.0 - n,
            "setpoint": -n / 2,
        }
        for n in range(PERIODS)
    ]
    made = profile(purpose="TxProfile", transactionId=transaction)
    (schedule,) = made["chargingSchedule"]
    made["chargingSchedule"] = [
        {**schedule, "id": n, "chargingSchedulePeriod": periods} for n in (1, 2, 3)
    ]
    return {"evseId": 1, "chargingProfile": made}


def best_ms(work: Callable[[], object], before: Callable[[], object] = bool) -> float:
    """Of `work` alone."""
    found = []
    for _ in range(TIMES):
        before()
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found) * 1e3


def run() -> list[Row]:
    """For `make bench`."""
    rig = Rig().boot()
    vehicle = VehicleState("iso15118-20", needs=NEEDS)
    rig.observe(SessionPhase.ENERGY, authorised=True, vehicle=vehicle)
    number = rig.events()[-1]["transactionInfo"]["transactionId"]
    text = json.dumps(largest(number))
    station, name = rig.station, "SetChargingProfile"
    request = json.loads(text)

    def read() -> None:
        station.prepare(name, json.loads(text))

    def take() -> None:
        assert station.call(name, request, rig.now) == {"status": "Accepted"}

    def second() -> None:
        seen = {"authorised": True, "vehicle": vehicle}
        station.observe(report_of(rig.now, SessionPhase.ENERGY, **seen), rig.now)

    def change() -> None:
        take()
        rig.drain()
        rig.pass_s(1.0)

    def report() -> None:
        asked = {"evseId": 1, "duration": 86_400}
        station.call("GetCompositeSchedule", asked, rig.now)

    beside = best_ms(read)
    station.prepare(name, request)
    size = f"3 x {PERIODS} periods ({len(text) / 1000:.0f} kB)"
    return [
        Row(f"{size}: read beside the loop", beside, "ms"),
        Row(f"{size}: SetChargingProfile on the loop", best_ms(take), "ms", "<= 5"),
        Row(f"{size}: told to the vehicle", best_ms(second, change), "ms", "<= 5"),
        Row(f"{size}: GetCompositeSchedule", best_ms(report), "ms", "<= 5"),
    ]
