"""Plug & Charge in ISO 15118-2: certificates, the contract, its key, metering receipts.

Owns what a vehicle must prove before its contract is shown to the heart. Must never say
that a contract pays: the station's word does (`offer.energise`), or refuses it.
Order: [V2G2-554], [V2G2-557], [V2G2-558], [V2G2-903] as hupe1980/iso15118 quotes them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chargerd.model import CertificateQuestion, Contract
from chargerd.vehicle.iso15118 import contract, exi, signature
from chargerd.vehicle.iso15118.contract import ContractError, Problem
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.iso2_course import (
    CERTIFICATE_SERVICE,
    Iso2Course,
    said,
)

CHALLENGE_BYTES = 16
# ResponseCodes have no word for "not yet valid" or "no eMAID"; both end the same way.
CODES = {
    Problem.SIGNATURE: "FAILED_SignatureError",
    Problem.EXPIRED: "FAILED_CertificateExpired",
    Problem.NOT_YET_VALID: "FAILED_CertChainError",
    Problem.CHAIN: "FAILED_CertChainError",
    Problem.EMAID: "FAILED_CertificateNotAllowedAtThisEVSE",
    Problem.ALGORITHM: "FAILED_CertChainError",
}
# What the central system says of a contract (OCPP AuthorizeCertificateStatusEnumType).
REFUSALS = {
    "SignatureError": "FAILED_SignatureError",
    "CertificateExpired": "FAILED_CertificateExpired",
    "CertificateRevoked": "FAILED_CertificateRevoked",
    "NoCertificateAvailable": "FAILED_NoCertificateAvailable",
    "CertChainError": "FAILED_CertChainError",
    "ContractCancelled": "FAILED_ContractCanceled",
}


def trust(session: Iso2Course) -> Trust:
    """The anchors; nobody gets here without them, for no contract is offered then."""
    return session.setup.trust or Trust()


def now_utc(session: Iso2Course) -> datetime | None:
    return session.setup.utc(session.view.now_mono)


def _fragment(request: m.BodyBase) -> bytes:
    return exi.encode_fragment("iso2", type(request).__name__, request)


# --- certificate installation and update ----------------------------------------------


def certificate(
    session: Iso2Course,
    request: m.CertificateInstallationReq | m.CertificateUpdateReq,
) -> str:
    """Passed on as it came once its signature holds; see Iso2Course.late."""
    if CERTIFICATE_SERVICE not in session.chosen:
        session.end(Cause.SEQUENCE)
        return "FAILED_SequenceError"
    try:
        _signed(session, request)
    except ContractError as error:
        return CODES[error.problem]
    except V2gError:
        return "FAILED_SignatureError"
    session.question = CertificateQuestion(
        number=int.from_bytes(session.random(4)),
        schema=m.DEF,
        update=isinstance(request, m.CertificateUpdateReq),
        exi=session.raw,
    )
    return "OK"


def _signed(
    session: Iso2Course,
    request: m.CertificateInstallationReq | m.CertificateUpdateReq,
) -> None:
    """By the provisioning certificate, or by the contract that is to be renewed."""
    sealed = session.header.Signature
    if sealed is None:
        raise V2gError(f"{type(request).__name__}: no signature")
    parts = {request.Id: _fragment(request)}
    if isinstance(request, m.CertificateInstallationReq):
        contract.check_install_request(
            sealed,
            parts,
            request.OEMProvisioningCert,
            (),
            trust(session),
            now_utc(session),
            signature.ISO2,
        )
        return
    chain = request.ContractSignatureCertChain
    _read(session, chain, request.eMAID)
    signature.verify(sealed, parts, contract.key(chain.Certificate), signature.ISO2)


def installation_res(session: Iso2Course, code: str) -> Complex:
    return m.CertificateInstallationRes(ResponseCode=said(code), **_nothing())


def update_res(session: Iso2Course, code: str) -> Complex:
    return m.CertificateUpdateRes(ResponseCode=said(code), **_nothing())


def _nothing() -> dict[str, Any]:
    """The schema's elements of an answer that has nothing to give."""
    return {
        "SAProvisioningCertificateChain": m.CertificateChain(Certificate=b""),
        "ContractSignatureCertChain": m.CertificateChain(Certificate=b""),
        "ContractSignatureEncryptedPrivateKey": m.ContractSignatureEncryptedPrivateKey(
            Id="id1", value=b""
        ),
        "DHpublickey": m.DiffieHellmanPublickey(Id="id2", value=b""),
        "eMAID": m.EMAID(Id="id3", value="0" * 14),
    }


# --- the contract ---------------------------------------------------------------------


def payment_details(session: Iso2Course, request: m.PaymentDetailsReq) -> str:
    """The chain holds and names the account; the key is proved by AuthorizationReq."""
    chain = request.ContractSignatureCertChain
    try:
        found = _read(session, chain, request.eMAID)
        session.key = contract.key(chain.Certificate)
    except ContractError as error:
        session.end(Cause.NOT_AUTHORISED)
        return CODES[error.problem]
    session.presented = found
    session.challenge = session.random(CHALLENGE_BYTES)
    return "OK"


def _read(session: Iso2Course, chain: m.CertificateChain, emaid: str) -> Contract:
    """The contract, which must be the account's that the message names."""
    subs = chain.SubCertificates.Certificate if chain.SubCertificates else []
    found = contract.read(
        chain.Certificate, subs, trust(session), now_utc(session), signature.ISO2
    )
    if contract.normal_emaid(emaid) != found.emaid:
        raise ContractError(Problem.EMAID, "contract: the eMAID told is another")
    return found


def payment_details_res(session: Iso2Course, code: str) -> Complex:
    """A FAILED answer has the element, too: a challenge that nothing follows."""
    return m.PaymentDetailsRes(
        ResponseCode=said(code),
        GenChallenge=session.challenge or bytes(CHALLENGE_BYTES),
        EVSETimeStamp=session.setup.utc_s(session.view.now_mono),
    )


def proved(session: Iso2Course, request: m.AuthorizationReq) -> str:
    """Our challenge, signed with the contract's key; repeats need no new proof."""
    if session.contract is not None:
        return "OK"
    if not session.challenge or request.GenChallenge != session.challenge:
        return "FAILED_ChallengeInvalid"
    if not _by_contract(session, request, request.Id):
        return "FAILED_SignatureError"
    session.contract = session.presented
    return "OK"


def refused(session: Iso2Course) -> str | None:
    """The ResponseCode when the central system does not take the contract."""
    why = session.view.offer.contract_refused
    if session.contract is None or not why or session.view.authorised:
        return None
    return REFUSALS.get(why, "FAILED")


def _by_contract(session: Iso2Course, request: m.BodyBase, name: str | None) -> bool:
    sealed, key = session.header.Signature, session.key
    if sealed is None or key is None or not name:
        return False
    try:
        signature.verify(sealed, {name: _fragment(request)}, key, signature.ISO2)
    except V2gError:
        return False
    return True


# --- metering receipts ----------------------------------------------------------------


def receipt(session: Iso2Course, request: m.MeteringReceiptReq) -> str:
    """What we said, signed with the contract's key; only when it was asked for."""
    told, session.told = session.told, None
    if told is None:
        session.end(Cause.SEQUENCE)
        return "FAILED_SequenceError"
    schedule = request.SAScheduleTupleID
    same = (
        request.MeterInfo == told
        and request.SessionID == session.id
        and schedule in (None, session.schedule_id)
    )
    if not same or not _by_contract(session, request, request.Id):
        return "FAILED_MeteringSignatureNotValid"
    session.receipt_mono = session.view.now_mono
    return "OK"


def ask_receipt(session: Iso2Course, meter: m.MeterInfo | None) -> bool:
    """ReceiptRequired; remembers what the vehicle is told."""
    every_s = session.setup.receipt_s
    if session.contract is None or meter is None or every_s is None:
        return False
    if session.view.now_mono - session.receipt_mono < every_s:
        return False
    session.told = meter
    return True
