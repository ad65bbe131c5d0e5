"""Block B: registration with the CSMS, the clock, heartbeats.

Owns the boot state machine (B01-B03), what happens when the link comes and goes (B04)
and Heartbeat (G02).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from chargerd import __version__
from chargerd.clock import Now
from chargerd.ocpp.blocks.block import Block, Trigger
from chargerd.ocpp.blocks.desk import Desk, failed, stamp
from chargerd.ocpp.blocks.network import NetworkProfiles
from chargerd.ocpp.effects import (
    Answer,
    Durability,
    Gate,
    LearnTime,
    OcppError,
    Payload,
    SetGate,
)
from chargerd.ocpp.profiles import parse_time

BOOT_REASONS = (
    "ApplicationReset", "FirmwareUpdate", "LocalReset", "PowerUp", "RemoteReset",
    "ScheduledReset", "Triggered", "Unknown", "Watchdog",
)  # fmt: skip
RETRY_S = 30.0  # after a failed BootNotification, or an interval of 0 (B02.FR.05)
LONGEST_S = 86_400.0
FIRST_YEAR, LAST_YEAR = 2026, 2100  # another time is no time
DAY_S = 86_400.0  # G02: the clock is checked once a day even on a busy link


class Provisioning(Block):
    """Is the station accepted, and is the link up?"""

    def __init__(self, desk: Desk, network: NetworkProfiles, boot_reason: str) -> None:
        self._desk = desk
        self._network = network
        saved = desk.saved.get("boot", {}).get("reason")
        self.reason = saved if saved in BOOT_REASONS else boot_reason
        if saved is not None:
            desk.save("boot", "reason", None)
        self._boot_mono = math.inf  # when to send BootNotification (again)
        self._wait_gate: Gate | None = None  # set while Pending or Rejected
        self._in_flight = False
        self._checked_mono = 0.0  # when the clock was last compared

    @property
    def rejected(self) -> bool:
        """The CSMS wants to hear and say nothing until the interval is over (B03)."""
        return self._wait_gate is Gate.SILENT

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        """B01 on the first connection, B04 on later ones: no boot once accepted."""
        self._in_flight = False
        if not up:
            return
        if self._network.switched:  # B10.FR.10: another CSMS knows nothing of us
            self._desk.accepted = False
            self._wait_gate = None
        if self._desk.accepted:
            self._desk.effects.append(SetGate(Gate.OPEN))
        elif self._wait_gate is not None and now.mono < self._boot_mono:
            self._desk.effects.append(SetGate(self._wait_gate))  # the interval runs on
        else:
            self._boot(now)

    def _boot(self, now: Now, *, reason: str = "") -> None:
        station = self._desk.config.station
        identity: Payload = {
            "model": station.model,
            "vendorName": station.vendor,
            "firmwareVersion": station.firmware or __version__,
        }
        if station.serial:
            identity["serialNumber"] = station.serial
        sim = {"iccid": station.iccid, "imsi": station.imsi}
        modem = {name: value for name, value in sim.items() if value}
        if modem:
            identity["modem"] = modem
        self._boot_mono = math.inf
        self._wait_gate = None
        self._in_flight = True
        self._desk.effects.append(SetGate(Gate.BOOT))
        self._desk.send(
            "BootNotification",
            {"chargingStation": identity, "reason": reason or self.reason},
            now,
            Durability.NOW_OR_NEVER,
            answered=self._booted,
            while_gated=True,
            first=True,
        )

    def _booted(self, request: Payload, answer: Answer, now: Now) -> None:
        self._in_flight = False
        if failed(answer) or not isinstance(answer, dict):
            self._boot_mono = now.mono + RETRY_S
            return
        self._learn(answer["currentTime"], now)
        wait_s = min(float(answer["interval"]), LONGEST_S)
        if answer["status"] == "Accepted":
            self._accepted(wait_s, now)
            return
        self._boot_mono = now.mono + (wait_s if wait_s > 0 else RETRY_S)
        rejected = answer["status"] == "Rejected"
        self._wait_gate = Gate.SILENT if rejected else Gate.BOOT
        self._desk.effects.append(SetGate(self._wait_gate))

    def _accepted(self, interval_s: float, now: Now) -> None:
        if interval_s >= 1:
            interval = self._desk.model.variable("OCPPCommCtrlr", "HeartbeatInterval")
            if interval.value != str(int(interval_s)):
                self._desk.keep(interval, str(int(interval_s)))
        self._desk.accepted = True
        self._desk.effects.append(SetGate(Gate.OPEN))

    def _learn(self, text: str, now: Now) -> None:
        try:
            utc = parse_time(text)
        except OcppError:
            return  # a CSMS without a clock: ours stays
        if not FIRST_YEAR <= utc.year <= LAST_YEAR:
            return
        self._checked_mono = now.mono
        if "Heartbeat" not in self._desk.model.members("ClockCtrlr", "TimeSource"):
            return
        step = abs((utc - now.utc).total_seconds())
        limit = self._desk.model.number(
            "ClockCtrlr", "TimeAdjustmentReportingThreshold"
        )
        self._desk.effects.append(LearnTime(utc))
        if now.trusted and step > limit:
            self._desk.security_event(
                "SettingSystemTime", now, f"{stamp(now.utc)} to {stamp(utc)}"
            )

    # Heartbeat.

    def heartbeat(self, now: Now, *, while_gated: bool = False) -> None:
        self._checked_mono = now.mono  # one a day is tried, not repeated at once
        self._desk.send(
            "Heartbeat",
            {},
            now,
            Durability.NOW_OR_NEVER,
            answered=self._beaten,
            while_gated=while_gated,
        )

    def _beaten(self, request: Payload, answer: Answer, now: Now) -> None:
        if isinstance(answer, dict):
            self._learn(answer["currentTime"], now)

    def _heartbeat_mono(self) -> float:
        if not (self._desk.online and self._desk.accepted):
            return math.inf
        interval = self._desk.model.number("OCPPCommCtrlr", "HeartbeatInterval")
        quiet = self._desk.last_sent_mono + interval
        return min(quiet, max(self._checked_mono + DAY_S, self._desk.last_sent_mono))

    def next_timer(self) -> float:
        boot = self._boot_mono if self._desk.online else math.inf
        return min(boot, self._heartbeat_mono())

    def on_timer(self, now: Now) -> None:
        if self._desk.online and now.mono >= self._boot_mono:
            self._boot(now)
        if now.mono >= self._heartbeat_mono():
            self.heartbeat(now)

    def triggers(self) -> Mapping[str, Trigger]:
        return {
            "BootNotification": self._trigger_boot,
            "Heartbeat": self._trigger_heartbeat,
        }

    def _trigger_heartbeat(self, at: Payload, now: Now) -> str:
        self.heartbeat(now, while_gated=True)
        return "Accepted"

    def _trigger_boot(self, at: Payload, now: Now) -> str:
        """Rejected once accepted (F06.FR.17)."""
        if self._desk.accepted:
            return "Rejected"
        if not self._in_flight:
            self._boot(now, reason="Triggered")
        return "Accepted"
