"""`plug_in ev: iso15118`: the car, its sockets and its sessions, as the rig sees them.

Owns when a session begins, ends and is tried again. Stepped by the rig; never waits.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any

from hil.ev.base import Given, Seen
from hil.ev.battery import Battery
from hil.ev.iso15118.car import Car
from hil.ev.iso15118.evcc import Evcc
from hil.ev.iso15118.link import Link, Wire, client_context
from hil.ev.iso15118.profile import MISBEHAVIOURS, Profile
from hil.ev.iso15118.speakers import offers, speaker
from hil.ev.iso15118.wallet import Wallet, read_wallet

NO_SESSION = bytes(8)


class Iso15118Ev:
    """`phase`: asleep, waking, finding, talking, resting, done."""

    kind = "iso15118"

    def __init__(self, battery: Battery, profile: Profile, wire: Wire) -> None:
        """ValueError: a file of the PKI is wrong."""
        self.profile = profile
        self.wire = wire
        self.car = Car(battery, profile)
        self.car.active |= set(profile.misbehave)
        self.phase = "asleep"
        self.why = ""  # why the last session ended otherwise than wanted
        self.sessions = 0
        self.security = ""
        self.evcc: Evcc | None = None
        self._context = self._tls()
        self._wallet = self._read_wallet()
        self._link: Link | None = None
        self._until_s = 0.0
        self._failed = 0
        self._session_id = NO_SESSION

    def _tls(self) -> ssl.SSLContext | None:
        if not self.profile.tls:
            return None
        if not self.profile.pki:
            raise ValueError("tls needs pki: a folder made by `python -m hil.pki make`")
        newest = "iso15118-20" in self.profile.protocols
        return client_context(Path(self.profile.pki), tls_1_3=newest)

    def _read_wallet(self) -> Wallet | None:
        if self.profile.authorise != "contract":
            return None
        if not self.profile.pki:
            raise ValueError("authorise: contract needs pki: a folder of hil.pki")
        return read_wallet(Path(self.profile.pki))

    # -- the rig's side ---------------------------------------------------------------

    def step(self, now_s: float, dt_s: float, seen: Seen) -> Given:
        """Move the car, then the talk."""
        self.car.step(now_s, dt_s, seen)
        if self.car.plugged:
            getattr(self, f"_in_{self.phase}")(now_s)
        return self.car.given()

    def can(self, frame_id: int, data: bytes, now_s: float) -> None:
        """No CAN on this connector."""

    def pause(self) -> None:
        self.car.paused = True

    def resume(self) -> None:
        self.car.paused = False

    def unplugged(self) -> None:
        """The connector is out: the link is gone with it."""
        self.car.plugged = False
        if self._link is not None:
            self._link.close("unplugged")

    def fault(self, kind: str, on: bool, **args: Any) -> None:
        """A misbehaviour from now on; ValueError lists those there are."""
        if kind not in MISBEHAVIOURS or args:
            known = sorted(MISBEHAVIOURS)
            raise ValueError(f"fault {kind} {args}: an ISO 15118 car knows {known}")
        (self.car.active.add if on else self.car.active.discard)(kind)

    def state(self) -> dict[str, Any]:
        car, evcc = self.car, self.evcc
        speaks = evcc.speaker if evcc is not None else None
        return {
            "kind": self.kind,
            "phase": self.phase,
            "protocol": speaks.protocol if speaks else "",
            "service": speaks.service if speaks else "",
            "security": self.security,
            "last_request": evcc.last_request if evcc else "",
            "requests": evcc.requests if evcc else 0,
            "worst_response_ms": {
                name: round(1e3 * worst_s, 1)
                for name, worst_s in (evcc.worst_s if evcc else {}).items()
            },
            "station": dict(speaks.station) if speaks else {},
            "sessions": self.sessions,
            "why": self.why,
            "pilot": car.pilot if car.plugged else "A",
            "contactor_closed": car.closed,
            "opened_under_load": car.opened_under_load,
            "ac_power_w": round(car.ac_w, 1),
            "ac_energy_in_wh": round(car.ac_energy_in_wh, 4),
            "ac_energy_out_wh": round(car.ac_energy_out_wh, 4),
            "paused": car.paused,
            "faults": sorted(car.active),
            **car.battery.state(),
        }

    # -- phases -----------------------------------------------------------------------

    def _enter(self, phase: str, now_s: float, lasts_s: float = 0.0) -> None:
        self.phase, self._until_s = phase, now_s + lasts_s

    def _in_asleep(self, now_s: float) -> None:
        if self.car.digital():
            self._enter("waking", now_s, self.profile.wake_s)

    def _in_waking(self, now_s: float) -> None:
        if not self.car.digital():
            self._enter("asleep", now_s)
        elif now_s >= self._until_s:
            self._link = Link(self.wire, self._context, now_s)
            self._enter("finding", now_s)

    def _in_finding(self, now_s: float) -> None:
        link = self._link
        if link is None or link.down:
            self._over(link.down if link else "no link", now_s)
            return
        link.step(now_s)
        if link.up:
            self.security = link.security
            tls_1_3 = link.security == "TLSv1.3"
            spoken = offers(self.profile, tls=tls_1_3)
            self.sessions += 1
            utc_offset_s = time.time() - now_s
            self.evcc = Evcc(
                self.car,
                spoken,
                lambda protocol: speaker(
                    protocol,
                    self.car,
                    wallet=self._wallet,
                    session_id=self._session_id,
                    utc_offset_s=utc_offset_s,
                ),
            )
            self._enter("talking", now_s)

    def _in_talking(self, now_s: float) -> None:
        link, evcc = self._link, self.evcc
        if link is None or evcc is None:
            return
        evcc.receive(link.step(now_s))
        segments = evcc.step()
        if link.up:
            link.send(segments)
        if link.down:
            evcc.lost(link.down)
        if evcc.closing:
            link.close()
            self._over(evcc.why, now_s)

    def _in_resting(self, now_s: float) -> None:
        if not self.car.digital():
            self._enter("asleep", now_s)
        elif now_s >= self._until_s:
            self._enter("waking", now_s)

    def _in_done(self, now_s: float) -> None:
        """Until the PWM goes: its coming back is the station's wake-up."""
        if not self.car.digital():
            self._failed = 0
            self._enter("asleep", now_s)

    def _over(self, why: str, now_s: float) -> None:
        """A session is over: a pause is slept, a failure tried again."""
        self.why = why
        speaks = self.evcc.speaker if self.evcc is not None else None
        self._session_id = NO_SESSION
        if speaks is not None and speaks.paused:
            self._session_id = speaks.id
            self._enter("resting", now_s, self.profile.pause_s)
        elif why and self._failed < self.profile.retries:
            self._failed += 1
            self._enter("resting", now_s, self.profile.retry_s)
        else:
            self._enter("done", now_s)
