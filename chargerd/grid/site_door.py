"""The site's shell: a member, a coordinator, or both, on a broker's wire.

Whatever happens here, the heart holds a signal that falls to the safe limit by itself
when the lease in it ends. That signal is given before there is a connection.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from typing import Any

from chargerd.config import Config
from chargerd.config_grid import SiteBus
from chargerd.grid.errors import GridError
from chargerd.grid.mqtt_link import Face, Link
from chargerd.grid.peers import Rate
from chargerd.grid.ports import GridDoor, Ports
from chargerd.grid.site_coordinator import Coordinator
from chargerd.grid.site_member import Member
from chargerd.grid.site_rules import rules
from chargerd.grid.site_wish import House, Wishes
from chargerd.grid.site_words import Ask, Beacon, Lease, read, write
from chargerd.model import (
    DispatchSignal,
    EvseReport,
    OperationMode,
    Priority,
    Segment,
)

MESSAGES = 5.0  # on one topic and period: more is a flood
FOR_EVER_S = 10 * 365 * 86_400.0


class SiteDoor:
    """`[grid.site]`."""

    name = "site"

    def __init__(self, config: Config, bus: SiteBus, ports: Ports) -> None:
        self._bus, self._ports, self._me = bus, ports, config.station.id
        self._wishes = Wishes(config.evse)
        self._house = House(bus.reserve_w)
        shared, now_mono = rules(bus), ports.now().mono
        boot = secrets.token_hex(8)
        self._member: Member | None = None
        self._lead: Coordinator | None = None
        if self._me in bus.members:
            self._member = Member(shared, self._me, boot, now_mono)
            self._hold(now_mono)
        if self._me in bus.coordinators:
            self._lead = Coordinator(shared, self._me, boot, now_mono)
        self._rate = Rate(MESSAGES / bus.every_s)
        self._refused: Counter[str] = Counter()
        face = Face(
            identifier=f"{bus.site}-site-{self._me}".replace("/", "-"),
            subscriptions=self._subscriptions(),
            receive=self._receive,
            greet=self._greet,
            status_topic=f"{bus.site}/station/{self._me}/status",
        )
        self._link = Link("grid.site", bus, face)

    def _subscriptions(self) -> tuple[str, ...]:
        topics = [f"{self._bus.site}/coordinator/+/beacon"]
        if self._member is not None:
            topics.append(f"{self._bus.site}/member/{self._me}/lease")
        if self._lead is not None:
            topics.append(f"{self._bus.site}/member/+/ask")
        return tuple(topics)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run())
            group.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            self._speak()
            await asyncio.sleep(self._bus.every_s)

    def _speak(self) -> None:
        now_mono = self._ports.now().mono
        if self._lead is not None:
            self._measure(self._lead, now_mono)
            beacon = self._lead.beacon(now_mono)
            self._publish(f"coordinator/{self._me}/beacon", beacon)
        if self._member is not None:
            ask = self._member.ask(self._wishes.wish(now_mono), now_mono)
            self._publish(f"member/{self._me}/ask", ask)

    def _measure(self, lead: Coordinator, now_mono: float) -> None:
        if self._bus.meter:
            reports = self._wishes.fresh(now_mono)
            others_w = lead.measured_w(now_mono, but=self._me)
            free_w = self._house.free_w(reports, others_w, now_mono)
            lead.limit(free_w, self._bus.discharge_w)

    def _publish(self, topic: str, message: Ask | Beacon | Lease) -> None:
        self._link.publish(f"{self._bus.site}/{topic}", write(message))

    def _greet(self) -> None:
        self._link.publish(
            f"{self._bus.site}/station/{self._me}/status", b"online", retain=True
        )
        self._speak()

    def report(self, report: EvseReport) -> None:
        """A reporter of the cycle."""
        self._wishes.report(report)

    def _receive(self, topic: str, payload: bytes, retained: bool) -> None:
        """Nothing here is ever retained by us: what is, is somebody's old word."""
        levels = topic.removeprefix(f"{self._bus.site}/").split("/")
        now_mono = self._ports.now().mono
        if retained:
            self._refused["retained"] += 1
            return
        if len(levels) != 3 or not self._rate.take(topic, now_mono):
            self._refused["flood" if len(levels) == 3 else "unknown"] += 1
            return
        try:
            match levels[0], levels[2]:
                case "coordinator", "beacon":
                    self._hear(levels[1], read(Beacon, payload), now_mono)
                case "member", "ask":
                    self._asked(levels[1], read(Ask, payload), now_mono)
                case "member", "lease":
                    self._leased(read(Lease, payload), now_mono)
        except GridError:
            self._refused["malformed"] += 1

    def _hear(self, sender: str, beacon: Beacon, now_mono: float) -> None:
        """The broker's access list says who may write to which topic: the topic's name
        counts, not the message's."""
        if beacon.coordinator != sender:
            raise GridError("a beacon under another's topic")
        if self._member is not None:
            self._member.hear(beacon, now_mono)
        if self._lead is not None:
            self._lead.hear(beacon, now_mono)

    def _asked(self, sender: str, ask: Ask, now_mono: float) -> None:
        if ask.member != sender:
            raise GridError("an ask under another's topic")
        if self._lead is None:
            return
        lease = self._lead.receive(ask, now_mono)
        if lease is not None:
            self._publish(f"member/{ask.member}/lease", lease)

    def _leased(self, lease: Lease, now_mono: float) -> None:
        if self._member is not None and self._member.take(lease, now_mono):
            self._hold(now_mono)

    def _hold(self, now_mono: float) -> None:
        """Tell the heart: this much until the lease ends, then the safe limit."""
        if self._member is None:
            return
        grant = self._member.grant(now_mono)
        limits = OperationMode.EXTERNAL_LIMITS
        segments = [
            Segment(
                now_mono,
                limits,
                limit_w=grant.charge_w,
                discharge_limit_w=-grant.discharge_w,
            )
        ]
        if grant.until_mono < now_mono + FOR_EVER_S:
            safe_w, until = self._bus.safe_w, grant.until_mono
            segments.append(
                Segment(until, limits, limit_w=safe_w, discharge_limit_w=0.0)
            )
        signal = DispatchSignal(
            source="site.lease",
            evse_id=0,
            priority=Priority.SETPOINT,
            segments=tuple(segments),
            received_mono=now_mono,
            valid_until_mono=now_mono + FOR_EVER_S,
        )
        if not self._ports.signal(signal):
            raise GridError("the heart refused the site's limit")

    def status(self) -> dict[str, Any]:
        """For people."""
        now_mono = self._ports.now().mono
        found: dict[str, Any] = {**self._link.status(), "refused": dict(self._refused)}
        if self._member is not None:
            grant = self._member.grant(now_mono)
            left_s = grant.until_mono - now_mono
            found["member"] = {
                "coordinator": self._member.coordinator,
                "charge_w": grant.charge_w,
                "discharge_w": grant.discharge_w,
                "lease_left_s": round(left_s, 1) if left_s < FOR_EVER_S else None,
                "refused": dict(self._member.refused),
            }
        if self._lead is not None:
            found["coordinator"] = self._lead.status(now_mono)
        return found


def build(config: Config, ports: Ports) -> GridDoor:
    """For `grid/build.py`."""
    bus = config.grid.site
    if bus is None:
        raise GridError("grid.site: not configured")
    if config.station.id not in (*bus.members, *bus.coordinators):
        raise GridError(
            f"grid.site: station {config.station.id!r} is neither in members nor in "
            "coordinators"
        )
    return SiteDoor(config, bus, ports)
