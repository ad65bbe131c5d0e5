"""Blocks M03 to M05: certificates are listed, deleted, installed; replaced ones settle.

Owns what is known of the certificates here, and which of two the next attempt to
connect uses (M05.FR.12 to .16, A02.FR.28). The files are `jobs/vault.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chargerd.clock import Now
from chargerd.model import CertificateHash
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.blocks.network import NetworkProfiles
from chargerd.ocpp.blocks.security import RECONFIGURED
from chargerd.ocpp.connection import MUTUAL_PROFILE, TLS_PROFILE, Connection
from chargerd.ocpp.effects import Later, OcppError, Payload
from chargerd.ocpp.jobs.certificates import (
    CSMS_ROOT,
    STATION,
    DeleteCertificate,
    Deleted,
    Held,
    Installed,
    InstallRoot,
    Inventory,
    ReadCertificates,
    Settle,
    Settled,
)

BAD_SERVER = "InvalidCsmsCertificate"


class Certificates(Block):
    def __init__(self, desk: Desk, network: NetworkProfiles) -> None:
        self._desk = desk
        self._network = network
        self.inventory: Inventory | None = None  # None = not read yet
        self._at: Now | None = None
        self._root_refused = False  # the new root did not fit the CSMS
        self._tried: Connection | None = None

    def routes(self) -> Mapping[str, Handler]:
        return {
            "DeleteCertificate": self.delete,
            "GetInstalledCertificateIds": self.installed,
            "InstallCertificate": self.install,
        }

    def begin(self, now: Now) -> None:
        self._at = now
        self._desk.work(ReadCertificates(), self._read)

    def on_second(self, now: Now) -> None:
        self._at = now

    def _read(self, value: Any, now: Now) -> None:
        if isinstance(value, Inventory):
            self.take(value)

    def take(self, inventory: Inventory) -> None:
        """A job has looked at the files."""
        self.inventory = inventory
        self._desk.model.update(
            "SecurityCtrlr", "CertificateEntries", str(inventory.entries)
        )

    # What the CSMS asks.

    def installed(self, request: Payload, now: Now) -> Later:
        """GetInstalledCertificateIds (M03)."""
        promised = self._desk.later("GetInstalledCertificateIds")
        wanted = request.get("certificateType")

        def read(value: Any, now: Now) -> None:
            found: list[Payload] = []
            if isinstance(value, Inventory):
                self.take(value)
                found = [
                    _chain(held)
                    for held in value.held
                    if held.use != STATION and (not wanted or held.use in wanted)
                ]
            answer: Payload = {"status": "Accepted" if found else "NotFound"}
            if found:
                answer["certificateHashDataChain"] = found
            self._desk.reply(promised, answer)

        self._desk.work(ReadCertificates(), read)
        return promised

    def install(self, request: Payload, now: Now) -> Later:
        """InstallCertificate (M05)."""
        promised = self._desk.later("InstallCertificate")
        use = request["certificateType"]
        model = self._desk.model
        task = InstallRoot(
            use,
            request["certificate"],
            replaces=model.flag("SecurityCtrlr", "AdditionalRootCertificateCheck"),
            room=int(model.variable("SecurityCtrlr", "CertificateEntries").high or 0),
            now_utc=now.utc if now.trusted else None,
        )

        def done(value: Any, now: Now) -> None:
            match value:
                case Installed(refused="") | OcppError():
                    self._desk.reply(promised, self._outcome(value, use, now))
                case Installed():
                    answer = refusal(value.reason, value.refused)
                    self._desk.reply(promised, answer)
                case Inventory():
                    self.take(value)

        self._desk.work(task, done)
        return promised

    def _outcome(self, value: Installed | OcppError, use: str, now: Now) -> Payload:
        if isinstance(value, OcppError):  # M05.FR.03
            return refusal("InternalError", value.description, "Failed")
        self._root_refused = self._root_refused and use != CSMS_ROOT
        self._desk.security_event(RECONFIGURED, now, f"{use} installed")
        return {"status": "Accepted"}

    def delete(self, request: Payload, now: Now) -> Later:
        """DeleteCertificate (M04)."""
        promised = self._desk.later("DeleteCertificate")
        row = request["certificateHashData"]
        named = CertificateHash(
            row["hashAlgorithm"],
            row["issuerNameHash"],
            row["issuerKeyHash"],
            row["serialNumber"],
            "",
        )
        profile = self._desk.model.number("SecurityCtrlr", "SecurityProfile")

        def done(value: Any, now: Now) -> None:
            match value:
                case Deleted(status="Accepted" | "NotFound" as status):
                    if status == "Accepted":
                        self._desk.security_event(RECONFIGURED, now, "one deleted")
                    self._desk.reply(promised, {"status": status})
                case Deleted(why=why):
                    self._desk.reply(promised, refusal("Rejected", why, "Failed"))
                case OcppError(description=why):
                    answer = refusal("InternalError", why, "Failed")
                    self._desk.reply(promised, answer)
                case Inventory():
                    self.take(value)

        task = DeleteCertificate(named, keep_csms=profile >= TLS_PROFILE)
        self._desk.work(task, done)
        return promised

    # What a security profile needs.

    def lacks(self, security_profile: int) -> str:
        """A05.FR.02, .03: what is missing for it, "" = nothing."""
        if security_profile >= TLS_PROFILE and not self._valid(CSMS_ROOT):
            return "no valid CSMSRootCertificate is installed"
        if security_profile >= MUTUAL_PROFILE and not self._valid(STATION):
            return "no valid ChargingStationCertificate is installed"
        return ""

    def _valid(self, use: str) -> bool:
        if self.inventory is None or self._at is None:
            return False
        now = self._at
        return any(
            not now.trusted or held.from_utc <= now.utc <= held.until_utc
            for held in self.inventory.of(use)
        )

    # Which of two.

    def dressed(self, made: Connection) -> Connection:
        """With the certificates for the next attempt: each round of all profiles takes
        the other client certificate; going back to the profile that worked takes the
        root that worked."""
        returns = self._network.returning
        self._tried = replace(
            made,
            spare_client=self._network.rounds % 2 == 1,
            spare_root=returns or (self._root_refused and not self._network.migrating),
        )
        return self._tried

    def unreachable(self, event: str) -> None:
        """M05.FR.14: the other root, unless this is another CSMS (M05.FR.15)."""
        if event == BAD_SERVER and not self._network.migrating:
            self._root_refused = not self._root_refused

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        self._at = now
        tried = self._tried
        if not up or tried is None or not tried.is_tls:
            return
        task = Settle(
            shows_certificate=tried.security_profile >= MUTUAL_PROFILE,
            spare_client=tried.spare_client,
            spare_root=tried.spare_root,
        )
        self._desk.work(task, self._settled)

    def _settled(self, value: Any, now: Now) -> None:
        event = self._desk.security_event
        match value:
            case Inventory():
                self.take(value)
            case Settled():
                if value.discarded:  # A02.FR.29
                    why = "no link stood with it"
                    event("DiscardedRenewedClientCertificate", now, why)
                if value.renewed:
                    event(RECONFIGURED, now, "the renewed certificate is in use")
                if value.roots_gone:  # M05.FR.13
                    event(RECONFIGURED, now, "the replaced CSMS root is gone")


def _chain(held: Held) -> Payload:
    """A CertificateHashDataChainType."""
    row: Payload = {
        "certificateType": held.use,
        "certificateHashData": hash_data(held.name),
    }
    if held.children:
        row["childCertificateHashData"] = [hash_data(name) for name in held.children]
    return row


def hash_data(name: CertificateHash) -> Payload:
    """A CertificateHashDataType."""
    return {
        "hashAlgorithm": name.algorithm,
        "issuerNameHash": name.issuer_name_hash,
        "issuerKeyHash": name.issuer_key_hash,
        "serialNumber": name.serial,
    }
