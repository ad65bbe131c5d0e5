"""Real processes for scenario, fault and security tests: rig, CSMS, daemon.

Each stand has its own folder and ports. Waiting is always for a condition with a limit,
never for a time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.csms.dispatch import set_setpoint
from hil.csms.link import Peer
from hil.csms.server import Csms
from hil.pki.profiles import Profile
from hil.stand import BENCH, Stand

PASSWORD = "bench-password-0001"
TOKEN = "04A2B3C4D5"


async def until(
    what: str,
    condition: Callable[[], Awaitable[Any]],
    limit_s: float = 10.0,
    pause_s: float = 0.05,
) -> Any:
    """The first true value of `condition`; fails with `what` after `limit_s`."""
    end = time.monotonic() + limit_s
    last: Any = None
    while time.monotonic() < end:
        last = await condition()
        if last:
            return last
        await asyncio.sleep(pause_s)
    raise AssertionError(f"not within {limit_s} s: {what}; last {last!r}")


@dataclass(slots=True)
class Plant:
    """A running station and its partners."""

    stand: Stand
    csms: Csms
    peer: Peer

    async def truth(self, evse: int = 1) -> dict[str, Any]:
        """What the rig knows about one EVSE."""
        state = await self.stand.rig.ask(verb="state")
        value: dict[str, Any] = state["evses"][str(evse)]
        return value

    async def status(self, evse: int = 1) -> dict[str, Any]:
        """What the daemon says about one EVSE."""
        answer = await self.stand.local.ask(verb="status")
        found: dict[str, Any] = next(e for e in answer["evses"] if e["evse_id"] == evse)
        return found

    async def faults(self) -> list[str]:
        """Names of the faults present now."""
        answer = await self.stand.local.ask(verb="faults")
        return [fault["name"] for fault in answer["active"]]

    async def power_w(self) -> float:
        """True power at the AC terminals."""
        return float((await self.truth())["ac_power_w"])

    async def current_a(self) -> float:
        """True DC current into the vehicle."""
        return float((await self.truth())["dc"]["current_a"])

    def trace(self) -> list[dict[str, Any]]:
        """The rig's trace so far."""
        text = (self.stand.folder / "trace.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    async def start_session(self, **ev: Any) -> None:
        """Plug a CHAdeMO car in, show the card, wait until power may flow."""
        ev = {"ev": "chademo", "soc": 60.0, "capacity_wh": 40_000.0, **ev}
        await self.stand.rig.ask(verb="plug_in", connector=1, **ev)
        await self.stand.rig.ask(verb="swipe", token=TOKEN, connectors=[1])

        async def energy() -> bool:
            return bool((await self.status())["phase"] == "energy")

        await until("session in energy", energy, 20.0)

    async def discharge(self, power_w: float = -5000.0) -> None:
        """Ask for power from the vehicle and wait until it flows."""
        await set_setpoint(self.peer, 1, power_w, 600)
        await self.flows(power_w - 300.0, power_w + 300.0, 10.0)

    async def flows(self, low_w: float, high_w: float, limit_s: float = 40.0) -> None:
        """Wait until a power between these flows."""

        async def there() -> bool:
            return low_w < await self.power_w() < high_w

        await until(f"{low_w}..{high_w} W at the terminals", there, limit_s)

    async def grid(self, door: str) -> dict[str, Any]:
        """What a grid door says of itself."""
        answer = await self.stand.local.ask(verb="status")
        found: dict[str, Any] = answer["station"]["grid"][door]
        return found


def patient_bench(folder: Path) -> Path:
    """The virtual bench with MCUs that forgive a loaded machine its pauses: when they
    fall to their safe state is tested elsewhere."""
    path = folder / "patient.yaml"
    text = BENCH.read_text()
    path.write_text(text.replace("comm_timeout_s: 0.3", "comm_timeout_s: 1.5"))
    return path


@asynccontextmanager
async def station(
    folder: Path,
    *,
    tls: bool = False,
    profile: Profile = Profile.ISO20,
    bench: Path = BENCH,
    **environment: str,
) -> AsyncIterator[Plant]:
    """Rig, CSMS and daemon, connected and accepted. `tls`: with a PKI of its own."""
    stand = Stand(folder)
    if tls:
        stand.make_pki(profile)
    csms = await Csms.start("127.0.0.1", stand.csms_port, password=PASSWORD)
    try:
        await stand.start_rig(bench)
        await stand.start_daemon(**environment)
        peer = await csms.wait_station(15, booted=True)
        yield Plant(stand, csms, peer)
    finally:
        await stand.stop()
        await csms.stop()
