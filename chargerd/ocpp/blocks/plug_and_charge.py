"""Blocks C07 and M01: contracts and certificates of vehicles (ISO 15118).

Owns what goes to the central system about a contract, and the passage of certificate
requests, whose EXI is never looked into. Decides no authorisation: authorization.py
does. eMAIDs and chains never go into a log.
"""

from __future__ import annotations

import base64
import binascii

from chargerd.clock import Now
from chargerd.model import (
    CertificateAnswer,
    CertificateAsk,
    CertificateHash,
    Contract,
    VehicleCertificate,
)
from chargerd.ocpp.blocks.desk import Desk
from chargerd.ocpp.effects import Answer, Durability, Payload
from chargerd.ocpp.v2 import dialect

HASHES_MAX = 4
CHAIN_MAX = {dialect.V21: 10_000, dialect.V201: 5_500}  # characters
REQUEST_MAX = {dialect.V21: 11_000, dialect.V201: 5_600}
EMAIDS_MAX = 8


def asked_about(contract: Contract, desk: Desk) -> tuple[Payload, str]:
    """What Authorize says of a contract beyond its eMAID; "" or why it may not ask.

    A chain that ends at no root of ours goes along whole, where that is allowed
    (C07.FR.06); else it is refused here.
    """
    rows = [_hash(each) for each in contract.hashes[:HASHES_MAX]]
    payload: Payload = {"iso15118CertificateHashData": rows} if rows else {}
    if contract.trusted:
        return payload, ""
    if not desk.model.flag("ISO15118Ctrlr", "CentralContractValidationAllowed"):
        return {}, "its root is not known here"
    if len(contract.chain_pem) > CHAIN_MAX[desk.version]:
        return {}, "its chain is too long for the central system"
    return {**payload, "certificate": contract.chain_pem}, ""


def offline_problem(contract: Contract, desk: Desk) -> str:
    """Why a contract cannot be used without the central system; "" = it can."""
    if not desk.model.flag("ISO15118Ctrlr", "ContractValidationOffline"):
        return "contracts are not taken offline"
    return "" if contract.trusted else "offline and its root is not known here"


def certificate_problem(answer: Payload) -> str:
    """What the central system found wrong with the chain; "" = nothing."""
    status: str = answer.get("certificateStatus", "Accepted")
    return "" if status == "Accepted" else status


def _hash(row: CertificateHash) -> Payload:
    return {
        "hashAlgorithm": row.algorithm,
        "issuerNameHash": row.issuer_name_hash,
        "issuerKeyHash": row.issuer_key_hash,
        "serialNumber": row.serial,
        "responderURL": row.responder_url,
    }


class EvCertificates:
    """Carries a vehicle's certificate request out, and the answer back."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def ask(self, ask: CertificateAsk, now: Now) -> None:
        """Every question gets one answer, None when there is nothing to pass on."""
        desk, question = self._desk, ask.question
        exi = base64.b64encode(question.exi).decode("ascii")
        able = desk.online and desk.accepted and len(exi) <= REQUEST_MAX[desk.version]
        if not able:
            self._tell(ask, None)
            return
        payload: Payload = {
            "iso15118SchemaVersion": question.schema,
            "action": "Update" if question.update else "Install",
            "exiRequest": exi,
        }
        if question.max_chains is not None:
            payload["maximumContractCertificateChains"] = question.max_chains
        if question.emaids:
            payload["prioritizedEMAIDs"] = list(question.emaids[:EMAIDS_MAX])

        def answered(request: Payload, answer: Answer, at: Now) -> None:
            self._tell(ask, _exi_of(answer), _remaining(answer))

        desk.send(
            "Get15118EVCertificate",
            payload,
            now,
            Durability.NOW_OR_NEVER,
            answered=answered,
        )

    def _tell(
        self, ask: CertificateAsk, exi: bytes | None, remaining: int | None = None
    ) -> None:
        answer = CertificateAnswer(ask.question.number, exi, remaining)
        self._desk.ask(VehicleCertificate(ask.evse_id, answer))


def _remaining(answer: Answer) -> int | None:
    """How many more contracts the pools have for this vehicle (M01.FR.04)."""
    if not isinstance(answer, dict) or "remainingContracts" not in answer:
        return None
    return max(0, int(answer["remainingContracts"]))


def _exi_of(answer: Answer) -> bytes | None:
    """The vehicle's answer as it will be sent; None when there is none to send."""
    if not isinstance(answer, dict) or answer["status"] != "Accepted":
        return None
    try:
        return base64.b64decode(answer["exiResponse"], validate=True) or None
    except (binascii.Error, ValueError):
        return None
