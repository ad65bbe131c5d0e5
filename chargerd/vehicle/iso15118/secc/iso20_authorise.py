"""ISO 15118-20 handlers of authorisation: by other means (EIM), by contract (PnC).

Owns the challenge and what a contract must prove: a chain that can be read, the last
challenge echoed, a signature over PnC_AReqAuthorizationMode alone [V2G20-1063]. Must
never authorise: the station does, told by the central system.
"""

from __future__ import annotations

import hmac

from chargerd.model import CertificateQuestion
from chargerd.vehicle.iso15118 import contract, exi, signature
from chargerd.vehicle.iso15118.contract import ContractError, Problem
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import common
from chargerd.vehicle.iso15118.messages.common_types import Processing, ResponseCode
from chargerd.vehicle.iso15118.secc import iso20_graph as at
from chargerd.vehicle.iso15118.secc.causes import Cause
from chargerd.vehicle.iso15118.secc.iso20_course import Course, Proof, Refusal, Reply
from chargerd.vehicle.iso15118.secc.iso20_failed import failed
from chargerd.vehicle.iso15118.secc.station import Authorise, Station

CHALLENGE_BYTES = 16
REFUSED_MAX = 5  # ours: contracts that are not good, then the session ends
MAX_REMAINING = 255  # an unsigned byte
INSTALL_HOLD_S = 3.5  # inside the performance time of CertificateInstallationReq

# A vehicle may go on after a WARNING: another contract, or other means [V2G20-2226].
_WARNINGS: dict[Problem, ResponseCode] = {
    Problem.EXPIRED: "WARNING_CertificateExpired",
    Problem.NOT_YET_VALID: "WARNING_CertificateNotYetValid",
    Problem.CHAIN: "WARNING_CertificateValidationError",
    Problem.ALGORITHM: "WARNING_CertificateValidationError",
    Problem.EMAID: "WARNING_GeneralPnCAuthorizationError",
}
# What the central system says of a contract, in OCPP's words.
_REFUSED: dict[str, ResponseCode] = {
    "CertificateExpired": "WARNING_CertificateExpired",
    "CertificateRevoked": "WARNING_CertificateRevoked",
    "CertChainError": "WARNING_CertificateValidationError",
    "SignatureError": "WARNING_CertificateValidationError",
    "NoCertificateAvailable": "WARNING_NoCertificateAvailable",
    "ContractCancelled": "WARNING_NoContractMatchingPCIDFound",
    "Unknown": "WARNING_eMSPUnknown",
}


def offered(now: Station) -> list[common.Authorization]:
    """In the station's order; contracts need trust anchors to be judged by."""
    setup = now.setup
    return [
        way.value
        for way in setup.authorise
        if way is Authorise.EIM or setup.trust is not None
    ]


def installs(now: Station) -> bool:
    """Whether a certificate question could be judged and passed on."""
    return now.offer.certificate_service and now.setup.trust is not None


def authorization_setup(
    course: Course, message: common.AuthorizationSetupReq, now: Station
) -> Reply | Refusal:
    """With contracts on offer comes a fresh challenge; the last one counts alone."""
    ways = offered(now)
    pnc = None
    if "PnC" in ways:
        course.challenge = course.random(CHALLENGE_BYTES)
        pnc = common.PnC_ASResAuthorizationMode(GenChallenge=course.challenge)
    return Reply(
        common.AuthorizationSetupRes(
            Header=course.header(now),
            ResponseCode="OK",
            AuthorizationServices=ways,
            CertificateInstallationService=installs(now),
            PnC_ASResAuthorizationMode=pnc,
            EIM_ASResAuthorizationMode=(
                common.EIM_ASResAuthorizationMode() if pnc is None else None
            ),
        )
    )


def authorization(
    course: Course, message: common.AuthorizationReq, now: Station
) -> Reply | Refusal:
    """The station's own word, at each request anew."""
    way = message.SelectedAuthorizationService
    if way not in offered(now):
        return _warn(course, "WARNING_AuthorizationSelectionInvalid", now)
    if way == "EIM":
        return _answer(course, now, "Ongoing_WaitingForCustomerInteraction")
    mode = message.PnC_AReqAuthorizationMode
    if mode is None:
        return _warn(course, "WARNING_GeneralPnCAuthorizationError", now)
    if not course.challenge or not hmac.compare_digest(
        mode.GenChallenge, course.challenge
    ):
        return _bad(course, "WARNING_ChallengeInvalid", now)
    try:
        _prove(course, message, mode, now)
    except ContractError as error:
        code = _WARNINGS.get(error.problem)
        if code is None:
            return Refusal("FAILED_SignatureError", Cause.NOT_AUTHORISED)
        return _bad(course, code, now)
    except V2gError:
        return Refusal("FAILED_SignatureError", Cause.NOT_AUTHORISED)
    return _judged(course, now)


def _prove(
    course: Course,
    message: common.AuthorizationReq,
    mode: common.PnC_AReqAuthorizationMode,
    now: Station,
) -> None:
    """Raises V2gError (ContractError) for what is wrong; else `proof` is there.

    The same words again are proved already: four signatures of P-521 cost some ms, and
    a waiting vehicle repeats itself.
    """
    chain, trust, seal = (
        mode.ContractCertificateChain,
        now.setup.trust,
        message.Header.Signature,
    )
    if trust is None or seal is None:
        raise V2gError("AuthorizationReq: not signed, or there is no trust anchor")
    old = course.proof
    if old is not None and (old.words, old.seal) == (mode, seal):
        return
    when = now.setup.utc(now.now_mono)
    subs = chain.SubCertificates.Certificate
    found = contract.read(chain.Certificate, subs, trust, when, signature.ISO20)
    key = contract.key(chain.Certificate)
    fragment = exi.encode_fragment("common", "PnC_AReqAuthorizationMode", mode)
    signature.verify(seal, {mode.Id: fragment}, key, signature.ISO20)
    same = old is not None and old.contract == found
    shown_mono = old.shown_mono if old is not None and same else now.now_mono
    course.proof = Proof(found, key, shown_mono, mode, seal)


def _judged(course: Course, now: Station) -> Reply | Refusal:
    """What the central system says of the contract; an old word is of another one."""
    proof, offer = course.proof, now.offer
    newer = proof is not None and offer.at_mono > proof.shown_mono
    if newer and offer.contract_refused and not now.authorised:
        code = _REFUSED.get(offer.contract_refused)
        return _bad(course, code or "WARNING_GeneralPnCAuthorizationError", now)
    return _answer(course, now, "Ongoing")


def _answer(course: Course, now: Station, waiting: Processing) -> Reply:
    answer = common.AuthorizationRes(
        Header=course.header(now),
        ResponseCode="OK",
        EVSEProcessing="Finished" if now.authorised else waiting,
    )
    return Reply(answer, at.SERVICE_DISCOVERY if now.authorised else at.AUTHORIZATION)


def _warn(course: Course, code: ResponseCode, now: Station) -> Reply:
    answer = common.AuthorizationRes(
        Header=course.header(now), ResponseCode=code, EVSEProcessing="Finished"
    )
    return Reply(answer, at.AUTHORIZATION)


def _bad(course: Course, code: ResponseCode, now: Station) -> Reply | Refusal:
    """One contract less to try."""
    course.proof = None
    course.refused += 1
    if course.refused >= REFUSED_MAX:
        return Refusal("FAILED", Cause.NOT_AUTHORISED)
    return _warn(course, code, now)


# --- certificate installation ---------------------------------------------------------


def certificate_installation(
    course: Course, message: common.CertificateInstallationReq, now: Station
) -> Reply | Refusal:
    """The central system answers; a request nobody signed does not reach it."""
    header = course.header(now)
    none = failed(message, "WARNING_NoCertificateAvailable", header)
    if not installs(now):
        return Reply(none, at.AUTHORIZATION)
    wrong = _unsigned(message, now)
    if wrong is not None:
        return Reply(failed(message, wrong, header), at.AUTHORIZATION)
    course.questions += 1
    emaids = message.PrioritizedEMAIDs
    course.question = CertificateQuestion(
        number=course.questions,
        schema=common.COMMON_MESSAGES,
        update=False,
        exi=course.raw,
        max_chains=message.MaximumContractCertificateChains,
        emaids=tuple(emaids.EMAID) if emaids is not None else (),
    )
    return Reply(none, at.AUTHORIZATION, INSTALL_HOLD_S, open=True)


def _unsigned(
    message: common.CertificateInstallationReq, now: Station
) -> ResponseCode | None:
    """What is wrong with the provisioning certificate or its signature."""
    chain, sealed = message.OEMProvisioningCertificateChain, message.Header.Signature
    if sealed is None or now.setup.trust is None:
        return "WARNING_CertificateValidationError"
    subs = chain.SubCertificates
    try:
        contract.check_install_request(
            sealed,
            {
                chain.Id: exi.encode_fragment(
                    "common", "OEMProvisioningCertificateChain", chain
                )
            },
            chain.Certificate,
            subs.Certificate if subs is not None else (),
            now.setup.trust,
            now.setup.utc(now.now_mono),
            signature.ISO20,
        )
    except ContractError as error:
        return _WARNINGS.get(error.problem, "WARNING_CertificateValidationError")
    except V2gError:
        return "WARNING_CertificateValidationError"
    return None


def answered(course: Course, now: Station) -> bytes | None:
    """The central system's EXI for the open question; None = not (yet)."""
    question, answer = course.question, now.offer.certificate_answer
    if question is None or answer is None or answer.number != question.number:
        return None
    return None if answer.exi is None else _counted(answer.exi, answer.remaining)


def _counted(data: bytes, remaining: int | None) -> bytes:
    """With the number of contracts that wait (OCPP M01.FR.05): it stands beside what
    is signed. What cannot be read goes on as it came, it is not ours to judge."""
    if remaining is None:
        return data
    try:
        message = exi.decode("common", data)
    except V2gError:
        return data
    if not isinstance(message, common.CertificateInstallationRes):
        return data
    told = min(remaining, MAX_REMAINING)
    if message.RemainingContractCertificateChains == told:
        return data
    message.RemainingContractCertificateChains = told
    return exi.encode(message)


def settled(course: Course, now: Station) -> bool:
    """The central system has spoken about the open question, with or without EXI."""
    question, answer = course.question, now.offer.certificate_answer
    return question is None or (answer is not None and answer.number == question.number)
