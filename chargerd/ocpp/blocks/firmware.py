"""Block L: firmware is fetched, checked, installed and booted (L01, L02).

Owns the order of the steps, their FirmwareStatusNotifications and what survives the
reboot. Fetching, checking and installing are jobs; power is never touched: an update
waits until no transaction runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chargerd import __version__
from chargerd.clock import Now
from chargerd.ocpp.blocks.availability import Availability
from chargerd.ocpp.blocks.block import Block, Handler, Trigger
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.blocks.firmware_update import Step, Update, version_problem
from chargerd.ocpp.effects import Answer, Durability, Later, OcppError, Payload, Save
from chargerd.ocpp.jobs.address import read_url
from chargerd.ocpp.jobs.firmware import (
    Candidate,
    CheckFirmware,
    CheckSigner,
    InstallEnded,
    InstallFirmware,
    ReadSlot,
    Reboot,
    Running,
    Signed,
    Signer,
)
from chargerd.ocpp.jobs.transfer import Download, Downloaded

SPACE, KEY, HOLD = "firmware", "update", "firmware"
LOOK_S = 60.0  # at the clock, while a time is awaited: it may be set meanwhile
REBOOT_S = 15.0  # that InstallRebooting has to reach the CSMS
MIB = 1024 * 1024
FIXED = (Step.INSTALLING.value, Step.REBOOTING.value)  # no way back
BUSY = "FwUpdateInProgress", "an installation cannot be cancelled"  # L01.FR.27


class Firmware(Block):
    def __init__(self, desk: Desk, availability: Availability) -> None:
        self._desk = desk
        self._availability = availability
        self._config = desk.config.ocpp.firmware
        self._file = desk.config.store.path.parent / "firmware.part"
        self._update = Update.restored(desk.saved.get(SPACE, {}).get(KEY))
        self._work = 0
        self._due_mono = math.inf
        self._checking = False  # a request's certificate

    def routes(self) -> Mapping[str, Handler]:
        return {"UpdateFirmware": self.update}

    def triggers(self) -> Mapping[str, Trigger]:
        return {"FirmwareStatusNotification": self.trigger}

    def blocks_reset(self) -> str:
        """A reset now could leave half a system (B11.FR.06)."""
        update = self._update
        if update is not None and update.step in FIXED:
            return "firmware is being installed"
        return ""

    # The request.

    def update(self, request: Payload, now: Now) -> Answer | Later:
        """UpdateFirmware."""
        if self._config.installer == "none":
            return refusal("NotEnabled", "this station has no installer")
        try:
            update = Update.of(request)
            read_url(update.url, self._desk.config.ocpp.transfer.protocols)
        except OcppError as error:
            return refusal("InvalidValue", error.description)
        if self.blocks_reset() or self._checking:
            return refusal(*BUSY)
        if not update.certificate:
            if not self._config.unsigned or update.signature:
                return refusal("MissingParam", "no signing certificate")
            return self._accept(update, now)
        promised = self._desk.later("UpdateFirmware")
        self._checking = True

        def checked(value: Any, at: Now) -> None:
            self._checking = False
            self._desk.reply(promised, self._checked(update, value, at))

        clock_utc = now.utc if now.trusted else None
        self._desk.work(CheckSigner(update.certificate, clock_utc), checked)
        return promised

    def _checked(self, update: Update, value: Any, now: Now) -> Answer:
        """L01.FR.02, .21, .22."""
        problem = value.problem if isinstance(value, Signer) else str(value)
        if problem:
            kind = "InvalidFirmwareSigningCertificate"
            self._desk.security_event(kind, now, problem)
            return refusal("InvalidCertificate", problem, "InvalidCertificate")
        return self._accept(update, now)

    def _accept(self, update: Update, now: Now) -> Answer:
        """The update that was under way ends (L01.FR.24)."""
        if self.blocks_reset():  # it has gone on while the certificate was checked
            return refusal(*BUSY)
        canceled = self._update is not None and self._update.runs
        self._stop()
        self._update = update
        self._keep()
        self._due_mono = now.mono  # begin after the answer
        return {"status": "AcceptedCanceled" if canceled else "Accepted"}

    def _stop(self) -> None:
        self._desk.stop_work(self._work)
        self._due_mono = math.inf
        for evse_id in self._desk.evses:
            self._availability.release(evse_id, HOLD)

    # The steps.

    def begin(self, now: Now) -> None:
        """Go on where the restart interrupted it."""
        if self._update is None or not self._update.runs:
            return
        match Step(self._update.step):
            case Step.REBOOTING:
                self._job(ReadSlot(), self._booted)
            case Step.WAITING | Step.DOWNLOADING:
                self._due_mono = now.mono
            case _:
                self._check(now)

    def next_timer(self) -> float:
        return self._due_mono

    def on_timer(self, now: Now) -> None:
        if now.mono < self._due_mono or self._update is None:
            return
        self._due_mono = math.inf
        match Step(self._update.step):
            case Step.WAITING | Step.DOWNLOADING:
                self._fetch(self._update, now)
            case Step.READY:
                self._install(self._update, now)
            case Step.REBOOTING if self._busy:  # L01.FR.33
                self._due_mono = now.mono + REBOOT_S
            case Step.REBOOTING:
                self._job(Reboot(), self._rebooting)
            case _:
                return

    @property
    def _busy(self) -> bool:
        """A transaction runs, or somebody may charge whose transaction has to begin."""
        return any(v.transaction_id or v.runs for v in self._desk.evses.values())

    def _await(self, wait_s: float, now: Now) -> None:
        self._due_mono = now.mono + min(wait_s, LOOK_S)

    def _job(self, task: object, then: Any) -> None:
        self._work = self._desk.work(task, then)

    def _fetch(self, update: Update, now: Now) -> None:
        wait_s = update.wait_s(update.retrieve_utc, now.utc)
        if wait_s > 0:  # L01.FR.13
            self._tell("DownloadScheduled", now)
            self._await(wait_s, now)
            return
        self._step(Step.DOWNLOADING)
        self._tell("Downloading", now)
        most = self._config.max_mib * MIB
        self._job(Download(update.url, self._file, most), self._fetched)

    def _fetched(self, value: Any, now: Now) -> None:
        update = self._update
        if update is None:
            return
        if isinstance(value, Downloaded):
            self._tell("Downloaded", now)
            self._check(now)
        elif update.retries > 0:
            update.retries -= 1
            self._keep()
            self._due_mono = now.mono + update.retry_s
        else:  # L01.FR.30
            self._over("DownloadFailed", now, str(value))

    def _check(self, now: Now) -> None:
        update = self._update
        if update is None:
            return
        self._step(Step.CHECKING)
        task = CheckFirmware(self._file, update.certificate, update.signature)
        self._job(task, self._found)

    def _found(self, value: Any, now: Now) -> None:
        update = self._update
        if update is None:
            return
        match value:
            case Signed(right=True):
                self._tell("SignatureVerified", now)
            case Signed():  # L01.FR.03
                self._desk.security_event("InvalidFirmwareSignature", now)
                self._over("InvalidSignature", now)
            case Candidate():
                self._candidate(update, value, now)
            case _:
                self._over("InstallVerificationFailed", now, str(value))

    def _candidate(self, update: Update, found: Candidate, now: Now) -> None:
        running = self._desk.config.station.firmware or __version__
        problem = version_problem(found.version, running)
        if problem and not self._config.older:  # L01.FR.29
            self._over("InstallVerificationFailed", now, problem)
            return
        update.slot, update.boot_id = found.running.slot, found.running.boot_id
        self._step(Step.READY)
        self._install(update, now)

    def _install(self, update: Update, now: Now) -> None:
        """When its time has come and no transaction runs (L01.FR.05, .06, .16)."""
        wait_s = update.wait_s(update.install_utc, now.utc)
        if wait_s > 0:
            self._tell("InstallScheduled", now)
            self._await(wait_s, now)
            return
        busy = self._busy
        allowed = self._desk.model.flag(
            "ChargingStation", "AllowNewSessionsPendingFirmwareUpdate"
        )
        if not busy or not allowed:  # L01.FR.07
            self._hold()
        if busy:
            self._tell("InstallScheduled", now)  # L01.FR.34; on_second looks again
            return
        self._step(Step.INSTALLING)
        self._tell("Installing", now)
        self._job(InstallFirmware(self._file), self._installed)

    def _hold(self) -> None:
        """No new session until the update is over."""
        for evse_id in self._desk.evses:
            self._availability.hold(evse_id, HOLD)

    def on_second(self, now: Now) -> None:
        """Has the last transaction ended?"""
        update = self._update
        ready = update is not None and update.step == Step.READY.value
        if update is not None and ready and self._due_mono == math.inf:
            self._install(update, now)

    def _installed(self, value: Any, now: Now) -> None:
        if not isinstance(value, InstallEnded):
            self._over("InstallationFailed", now, str(value))
            return
        self._step(Step.REBOOTING)
        self._desk.save("boot", "reason", "FirmwareUpdate")
        self._due_mono = now.mono + REBOOT_S
        self._tell("InstallRebooting", now, then=self._heard)

    def _heard(self, request: Payload, answer: Answer, now: Now) -> None:
        """The CSMS knows: no need to wait longer."""
        if self._update is not None and self._update.step == Step.REBOOTING.value:
            self._due_mono = min(self._due_mono, now.mono)

    def _rebooting(self, value: Any, now: Now) -> None:
        """Only a failure comes back."""
        if isinstance(value, OcppError):
            self._desk.save("boot", "reason", None)
            self._over("InstallationFailed", now, f"no reboot: {value}")

    def _booted(self, value: Any, now: Now) -> None:
        """L01.FR.28, .31, .32: the new system says so, with the request's id."""
        update = self._update
        if update is None:
            return
        if not isinstance(value, Running):
            self._over("InstallationFailed", now, str(value))
        elif value.slot != update.slot:
            self._over("Installed", now)
            self._desk.security_event("FirmwareUpdated", now, f"slot {value.slot}")
        elif value.boot_id and value.boot_id == update.boot_id:
            self._hold()  # only the daemon restarted
            self._due_mono = now.mono + REBOOT_S
        else:
            self._over("InstallationFailed", now, "the old system was booted")

    # Telling and keeping.

    def _over(self, status: str, now: Now, why: str = "") -> None:
        self._tell(status, now, why)
        self._step(Step.OVER)
        self._stop()

    def _step(self, step: Step) -> None:
        if self._update is not None:
            self._update.step = step.value
            self._keep()

    def _keep(self) -> None:
        if self._update is not None:
            self._desk.save(SPACE, KEY, self._update.kept())

    def _tell(self, status: str, now: Now, why: str = "", *, then: Any = None) -> None:
        """Each status once: a step that a restart repeats is no news."""
        update = self._update
        if update is None or status in update.told:
            return
        update.told.append(status)
        said = refusal("Unspecified", why, status) if why else {"status": status}
        payload = {**said, "requestId": update.request_id}
        self._desk.send(
            "FirmwareStatusNotification", payload, now, Durability.DURABLE,
            answered=then, save=Save(SPACE, KEY, update.kept()),
        )  # fmt: skip

    def trigger(self, at: Payload, now: Now) -> str:
        """The last status again; Idle after Installed and when there was none
        (L01.FR.25, .26)."""
        update = self._update
        payload: Payload = {"status": "Idle"}
        if update is not None and update.told and update.told[-1] != "Installed":
            payload = {"status": update.told[-1], "requestId": update.request_id}
        self._desk.send(
            "FirmwareStatusNotification", payload, now, Durability.NOW_OR_NEVER,
            while_gated=True,
        )  # fmt: skip
        return "Accepted"
