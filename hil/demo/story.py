"""One evening in a minute: what the grid, the driver and the central system do.

The battery is scaled down so that a minute shows an evening; powers, wires, protocols
and times of reaction are the real ones. Owns the script; judges nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from hil.csms.dispatch import set_setpoint
from hil.csms.link import Peer
from hil.csms.wire import CsmsError
from hil.demo.cars import DemoCar
from hil.demo.record import CURRENCY, RATING_W, Record, Signal, Tick
from hil.stand import Stand, StandError

TOKEN = "04A2B3C4D5"  # an RFID card's uid, not a secret of anything real
BATTERY_WH = 600.0
START_SOC = 60.0
PROMISE_SOC = 61.5
DEPARTURE_S = 54.0
PRICE_PER_KWH = 35.0
FEED_LIMIT_PCT = 40.0
FEED_LIMIT_W = -RATING_W * FEED_LIMIT_PCT / 100.0
SCRIPT_S = 60.0  # the script's own length; --seconds stretches it


class Evening:
    """Runs the script against a stand whose rig and daemon are up."""

    def __init__(
        self,
        stand: Stand,
        peer: Peer,
        car: DemoCar,
        *,
        seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self.stand = stand
        self.peer = peer
        self.car = car
        self.record = Record()
        self.latest: dict[str, Any] = {}  # newest status and rig state, for the screen
        self._scale = seconds / SCRIPT_S
        self._say = say

    async def run(self) -> Record:
        """The whole evening; returns what was seen."""
        watcher = asyncio.create_task(self._watch())
        try:
            await self._script()
        finally:
            watcher.cancel()
        self.record.transaction = [
            {"t_mono": message.t_mono, "payload": message.payload}
            for message in self.peer.messages
            if message.asks("TransactionEvent")
        ]
        return self.record

    async def _until(self, script_s: float) -> None:
        target = self.record.start_mono + script_s * self._scale
        await asyncio.sleep(max(0.0, target - time.monotonic()))

    def _note(self, text: str) -> None:
        self.record.note(time.monotonic(), text)
        self._say(text)

    async def _script(self) -> None:
        rig = self.stand.rig
        await self._arrive()
        await self._until(14)
        await rig.ask(verb="grid", frequency_hz=49.92)
        await rig.ask(verb="load", power_w=2500)
        self._note("the evening peak: 49.92 Hz, the house takes 2.5 kW")
        await self._setpoint(-7000.0)
        await self._until(19)
        await self._setpoint(-3000.0)
        await self._until(21)
        await rig.ask(verb="ws", up=False)
        self._note("the link to the central system drops; the setpoint stays in force")
        await self._until(23)
        await rig.ask(verb="ws", up=True)
        self._note("the link can be had again; the station waits its back-off")
        await self.peer.wait_connected(timeout=30)
        self._note("the station is back and sends what it had queued")
        await self._until(29)
        await self._setpoint(-5000.0)
        await self._until(32)
        await self._feed_limit()
        await self._until(DEPARTURE_S)
        self._note("departure")
        await self._leave()

    async def _arrive(self) -> None:
        rig, record = self.stand.rig, self.record
        await self._tariff()
        record.start_mono = time.monotonic()
        record.departure_mono = record.start_mono + DEPARTURE_S * self._scale
        record.promise_soc_pct = PROMISE_SOC
        await rig.ask(
            verb="plug_in",
            connector=1,
            ev=self.car.kind,
            soc=START_SOC,
            capacity_wh=BATTERY_WH,
            **self._keys(),
        )
        self._note(f"{self.car.name} arrives with {START_SOC:g} %")
        await rig.ask(verb="swipe", token=TOKEN, connectors=[1])
        self._note("the driver holds the card to the reader")
        await self._promise(record.departure_mono)
        self._note(
            f"the driver wants {PROMISE_SOC:g} % at departure, "
            f"in {DEPARTURE_S * self._scale:.0f} s"
        )

    async def _tariff(self) -> None:
        """By net energy: what is fed back counts against what was charged."""
        prices = {"prices": [{"priceKwh": PRICE_PER_KWH}]}
        tariff = {"tariffId": "DEMO", "currency": CURRENCY, "energy": prices}
        await self._ask("SetDefaultTariff", evseId=0, tariff=tariff)
        self.record.price_per_kwh = PRICE_PER_KWH
        self._say(f"central system: a kWh costs {PRICE_PER_KWH:g} {CURRENCY}")

    async def _feed_limit(self) -> None:
        """The network operator's, below the setpoint in force."""
        text = f"network operator: discharge at most {-FEED_LIMIT_W / 1000:g} kW"
        record, now_mono = self.record, time.monotonic()
        record.feed_limit_w, record.feed_limit_mono = FEED_LIMIT_W, now_mono
        record.signals.append(Signal(now_mono, FEED_LIMIT_W, text))
        self._note(text)
        await self._ask(
            "SetDERControl",
            isDefault=True,
            controlId="DEMO",
            controlType="LimitMaxDischarge",
            limitMaxDischarge={"priority": 0, "pctMaxDischargePower": FEED_LIMIT_PCT},
        )

    async def _ask(self, action: str, **payload: Any) -> None:
        answer = await self.peer.call(action, payload)
        if answer["status"] != "Accepted":
            raise CsmsError(f"{action}: {answer}")

    def _keys(self) -> dict[str, Any]:
        """A vehicle on TLS needs its certificates and the port of its station."""
        keys = dict(self.car.keys)
        if self.stand.pki is not None:
            keys |= {"pki": str(self.stand.pki), "sdp_port": self.stand.sdp_port(1)}
        return keys

    async def _promise(self, departure_mono: float) -> None:
        """The owner's app speaks to the local API, like `chargerctl promise`."""
        for _ in range(100):  # the session begins when the plug was seen
            if (await self._status())["session_id"]:
                break
            await asyncio.sleep(0.05)
        await self.stand.local.ask(
            verb="promise",
            evse=1,
            soc=PROMISE_SOC,
            seconds=departure_mono - time.monotonic(),
        )

    async def _status(self) -> dict[str, Any]:
        answer = await self.stand.local.ask(verb="status")
        found: dict[str, Any] = answer["evses"][0]
        return found

    async def _setpoint(self, power_w: float) -> None:
        text = f"central system: setpoint {power_w / 1000:+.0f} kW"
        self.record.signals.append(Signal(time.monotonic(), power_w, text))
        self._note(text)
        try:
            await set_setpoint(self.peer, 1, power_w, round(120 * self._scale))
        except CsmsError as error:
            history = (await self.stand.local.ask(verb="faults"))["history"]
            names = ", ".join(row["name"] for row in history) or "none"
            raise CsmsError(
                f"{error}. Faults of the station: {names}. On a machine that is busy "
                "with other work the virtual MCU misses its 0.3 s and stops the session"
            ) from error

    async def _leave(self) -> None:
        await self.stand.rig.ask(verb="swipe", token=TOKEN, connectors=[1])
        self._note("the driver ends the session with the same card")
        await self._until(57.5)
        self.record.vehicle = (await self.stand.rig.ask(verb="state"))["evses"]["1"][
            "ev"
        ]
        await self.stand.rig.ask(verb="plug_out", connector=1)
        self._note("the car leaves")
        await self._until(60)

    async def _watch(self) -> None:
        """Ten looks a second at the daemon, like a technician with a laptop."""
        while True:
            try:
                await self._look()
            except (StandError, OSError, TimeoutError) as error:
                self.latest["error"] = str(error)
            await asyncio.sleep(0.1)

    async def _look(self) -> None:
        status = await self._status()
        decision = status.get("decision")
        if decision is None:  # before the first tick
            return
        self.record.ticks.append(
            Tick(
                time.monotonic(),
                decision["power_w"],
                decision["low_w"],
                decision["high_w"],
                decision["source"],
                decision["why"],
            )
        )
        self.latest["decision"] = decision
        self.latest["why"] = self.record.ticks[-1].why
        self.latest["status"] = status
        self.latest["rig"] = await self.stand.rig.ask(verb="state")
