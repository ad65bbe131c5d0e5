"""RSS of the daemon: two EVSEs, a CHAdeMO session that discharges, one door more.

Real processes on the virtual bench. A door costs what it imports: what is not
configured is not loaded.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hil.stand import free_port
from tests.bench.row import Row
from tests.bench.station import rss_mib
from tests.process import station

SETTLED_S = 3.0
GRID = "CHARGERD__GRID__"
NOBODY = "127.0.0.1:1"  # the server that a door asks: nobody listens
DOORS: dict[str, dict[str, str]] = {
    "no grid door": {},
    "SunSpec": {f"{GRID}SUNSPEC__PORT": ""},
    "ECHONET Lite": {f"{GRID}ECHONET__ADDRESS": "127.43.0.3"},
    "OpenADR 3": {
        f"{GRID}OPENADR3__URL": f"http://{NOBODY}/v3",
        f"{GRID}OPENADR3__VEN_NAME": "x",
    },
    "S2": {f"{GRID}S2__URL": f"ws://{NOBODY}/s2"},
    "MQTT": {f"{GRID}MQTT__PORT": "1", f"{GRID}MQTT__TLS": "false"},
}


async def measure(folder: Path, environment: dict[str, str]) -> float:
    """MiB, once it has settled."""
    told = {key: value or str(free_port()) for key, value in environment.items()}
    async with station(folder, **told) as plant:
        await plant.start_session()
        await plant.discharge(-3000.0)
        await asyncio.sleep(SETTLED_S)
        return rss_mib(plant.stand.children["daemon"].pid)


def run() -> list[Row]:
    """For `make bench`."""
    found = []
    for name, environment in DOORS.items():
        with tempfile.TemporaryDirectory() as folder:
            memory = asyncio.run(measure(Path(folder), environment))
        found.append(Row(f"RSS of the daemon, {name}", memory, "MiB", "<= 64"))
    return found
