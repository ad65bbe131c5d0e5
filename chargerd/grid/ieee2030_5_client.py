"""The process that speaks IEEE 2030.5: py20305's client, JSON lines with the door.

Run by `ieee2030_5_door.py`; its first line is the settings, the others what the station
is doing. Decides nothing: py20305 keeps the schedule, the core bounds what it asks for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from py20305.client.csip_client import CsipClient
from py20305.client.errors import Sep2Error
from py20305.client.retry import RetryPolicy
from py20305.client.tls import TlsConfig
from py20305.commands import CommandOrigin
from py20305.connectors.base import BaseConnector, ConnectorPayload
from py20305.connectors.config import CustomDeviceConfig
from py20305.connectors.control_errors import InvalidControlValueError
from py20305.connectors.dispatcher import ConnectorDispatcher
from py20305.connectors.registry import ConnectorConfigRegistry
from py20305.models.sep.sep import Dercontrol1, Dercurve1
from py20305.security.identity import compute_lfdi
from py20305.telemetry import TelemetryCoordinator

Json = dict[str, Any]
EVSE_TYPE = 82  # DERType of IEEE 2030.5
BEAT_S = 1.0
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
# Bits of DERControlType: connect, energize, fixed W, frequency droop, maximum W, target
# W, delta W, grid connect permit (IEEE 2030.5-2023 as py20305 has them).
MODES = sum(1 << bit for bit in (2, 3, 7, 8, 20, 22, 28, 30))
CONNECTED, OPERATING = 0x07, 2  # bits 0 to 2: connected, available, operating


def say(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Station(BaseConnector):
    """All EVSEs as one DER. What is asked goes to the door."""

    connector_name = "chargerd"
    der_type = EVSE_TYPE

    def __init__(self) -> None:
        self.seen: Json = {}  # the station's newest report
        self.known = asyncio.Event()  # there is one: ratings are told once a day
        self.end_epoch: float | None = None  # of the event that is applied now
        self.now_epoch: float = 0.0

    def _ask(self, mode: str, params: Json) -> ConnectorPayload:
        numbers = [v for v in params.values() if isinstance(v, (int, float))]
        if not all(math.isfinite(v) for v in numbers):
            raise InvalidControlValueError(f"{mode}: a value is not finite")
        end_s = None if self.end_epoch is None else self.end_epoch - self.now_epoch
        say(mode=mode, params=params, end_s=end_s)
        return None

    # The powers that the station can follow, by the names of py20305.

    async def update_p_lim(self, params: Json) -> ConnectorPayload:
        return self._ask("p_lim", params)

    async def update_p_lim_inj(self, params: Json) -> ConnectorPayload:
        return self._ask("p_lim_inj", params)

    async def update_p_lim_abs(self, params: Json) -> ConnectorPayload:
        return self._ask("p_lim_abs", params)

    async def update_max_lim_pct_w_absorb(self, params: Json) -> ConnectorPayload:
        return self._ask("pct_absorb", params)

    async def update_fixed_w(self, params: Json) -> ConnectorPayload:
        return self._ask("fixed_w", params)

    async def update_target_w(self, params: Json) -> ConnectorPayload:
        return self._ask("target_w", params)

    async def update_delta_w(self, params: Json) -> ConnectorPayload:
        return self._ask("delta_w", params)

    async def update_pf(self, params: Json) -> ConnectorPayload:
        return self._ask("droop", params)

    async def update_connect(self, params: Json) -> ConnectorPayload:
        return self._ask("connect", params)

    async def update_grid_connect_permit(self, params: Json) -> ConnectorPayload:
        return self._ask("permit", params)

    async def update_exp_lim(self, params: Json) -> ConnectorPayload:
        return self._ask("exp_lim", params)

    async def update_imp_lim(self, params: Json) -> ConnectorPayload:
        return self._ask("imp_lim", params)

    async def update_gen_lim(self, params: Json) -> ConnectorPayload:
        return self._ask("gen_lim", params)

    async def update_load_lim(self, params: Json) -> ConnectorPayload:
        return self._ask("load_lim", params)

    async def clear_control(self) -> None:
        """Loss of communication without a default control, or an opt-out."""
        say(clear=True)

    # What it is and does: as the door reported it last. W > 0 is generation.

    async def fetch_monitoring(self) -> Json:
        power_w = self.seen.get("power_w")
        found = {"W": None if power_w is None else -power_w}
        return found | {"Hz": self.seen.get("hz"), "V": self.seen.get("volts")}

    async def fetch_nameplate(self) -> Json:
        charge_w, discharge_w = self.seen.get("charge_w"), self.seen.get("discharge_w")
        return {
            "WMaxRtg": discharge_w,
            "VAMaxRtg": max(charge_w or 0, discharge_w or 0),
            "WChaRteMaxRtg": charge_w,
            "WDisChaRteMaxRtg": discharge_w,
            "WhMaxRtg": self.seen.get("capacity_wh"),
            "CtrlModes": MODES,
        }

    async def fetch_configuration(self) -> Json:
        charge_w, discharge_w = self.seen.get("charge_w"), self.seen.get("discharge_w")
        return {
            "WMax": discharge_w,
            "VAMax": max(charge_w or 0, discharge_w or 0),
            "WChaRteMax": charge_w,
            "WDisChaRteMax": discharge_w,
            "CtrlModes": MODES,
        }

    async def fetch_availability(self) -> Json:
        up_w, now = self.seen.get("up_w"), int(time.time())
        found: Json = {"readingTime": now, "availabilityDuration": None}
        if up_w is not None:
            found["statWAvail"] = {"value": int(up_w), "multiplier": 0}
        return found

    async def fetch_status(self) -> Json:
        now, soc_pct = int(time.time()), self.seen.get("soc_pct")
        bits = CONNECTED if self.seen.get("plugged") else 0
        found: Json = {
            "readingTime": now,
            "connectStatus": {"dateTime": now, "value": bits},
            "operationalModeStatus": {"dateTime": now, "value": OPERATING},
        }
        if soc_pct is not None:
            value = int(soc_pct * 100.0)
            found["stateOfChargeStatus"] = {"dateTime": now, "value": value}
        return found


class Dispatcher(ConnectorDispatcher):
    """py20305's own, that also says when what it applies must end: some modes are not
    taken back by it at an event's end."""

    def __init__(self, station: Station, lfdi: str) -> None:
        device = CustomDeviceConfig(lfdi=lfdi, class_path="chargerd")
        registry = ConnectorConfigRegistry([device], lambda _: lambda: station)
        super().__init__(registry, lfdi_resolver=lambda _: lfdi)
        self._station = station

    async def apply_control(
        self,
        device_href: str,
        derc: Dercontrol1,
        curves: list[Dercurve1],
        *,
        origin: str = CommandOrigin.IEEE2030_5,
    ) -> None:
        station, interval = self._station, derc.interval
        station.now_epoch = time.time() if self.now is None else self.now()
        random_s = _whole(derc.randomize_duration) + _whole(derc.randomize_start)
        end_epoch = interval.start.value + int(interval.duration) + random_s
        station.end_epoch = float(end_epoch)
        try:
            await super().apply_control(device_href, derc, curves, origin=origin)
        finally:
            station.end_epoch = None

    now: Any = None  # the server's clock


def _whole(value: Any) -> int:
    """Seconds of a OneHourRangeType, which may be a value or its type."""
    return abs(int(getattr(value, "value", value) or 0))


async def converse(client: CsipClient, settings: Json, station: Station) -> None:
    """Connect, register, report, follow; raises when the server is lost at first."""
    await station.known.wait()
    await client.connect()
    lfdi = str(settings["lfdi"])
    known = {_hex(device.lfdi) for device in client.state.end_devices.values()}
    if lfdi not in known:
        with suppress(Sep2Error, ValueError):  # many servers know us beforehand
            await client.register_end_device(lfdi=lfdi)
            await client.trigger_rediscovery()
    say(connected=True, lfdi=lfdi)
    coordinator = TelemetryCoordinator(
        client,
        lfdis=[lfdi],
        connector_resolver=lambda _: station,
        post_rate_seconds=int(settings["post_s"]),
    )
    coordinator.setup()
    coordinator.start_device_telemetry()
    client.set_on_rediscovered(coordinator.restart_device_telemetry)
    try:
        await client.run()
    finally:
        await coordinator.shutdown()


def _hex(lfdi: Any) -> str:
    return (lfdi.hex() if isinstance(lfdi, bytes) else str(lfdi)).lower()


def made(settings: Json, station: Station) -> CsipClient:
    certificate = Path(settings["certificate"])
    settings["lfdi"] = compute_lfdi(certificate.read_text())
    tls = TlsConfig(
        client_cert=certificate,
        client_key=Path(settings["key"]),
        ca_cert=Path(settings["ca"]),
        check_hostname=bool(settings["check_hostname"]),
    )
    pin, lfdi = settings["pin"], settings["lfdi"]
    dispatcher = Dispatcher(station, lfdi)
    client = CsipClient(
        settings["url"],
        tls=tls,
        retry=RetryPolicy(),
        dispatcher=dispatcher,
        dcap_path=settings["device_capability"],
        server_2018_compat=settings["edition"] == 2018,
        registration_pins=None if pin is None else {lfdi: pin},
        comms_loss_seconds=int(settings["hold_s"]),
        connection_heartbeat_seconds=max(5, int(settings["hold_s"] / 6)),
    )
    dispatcher.now = client.timebase.now
    return client


async def listen(station: Station) -> None:
    """The door's lines, until it is gone."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        station.seen = json.loads(line)
        station.known.set()


async def beat(client: CsipClient) -> None:
    """How long ago the server was heard."""
    while True:
        heard = client.http.last_contact_epoch
        say(heard_s=None if heard is None else max(0.0, time.time() - heard))
        await asyncio.sleep(BEAT_S)


async def speak(client: CsipClient, settings: Json, station: Station) -> None:
    """Again and again, while the server is lost."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            await converse(client, settings, station)
        except Sep2Error as error:
            say(error=str(error)[:300])
        await asyncio.sleep(wait_s)
        wait_s = min(LONGEST_WAIT_S, 2.0 * wait_s)


async def main() -> None:
    settings = json.loads(sys.stdin.readline())
    station = Station()
    try:
        client = made(settings, station)
    except (OSError, ValueError) as error:  # its files
        say(error=f"ca, certificate or key: {error}"[:300])
        return
    try:
        async with asyncio.TaskGroup() as group:
            others = [
                group.create_task(beat(client)),
                group.create_task(speak(client, settings, station)),
            ]
            await listen(station)  # the door is gone
            for other in others:
                other.cancel()
    finally:
        await client.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    asyncio.run(main())
