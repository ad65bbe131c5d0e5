"""Block C: may this token start or stop a session?

Owns Authorize and the rules of who decides: the central system, the local list
(C13, C14), the cache (C12) or, offline, a setting (C15). Identities go out in messages
only: never into a log.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chargerd.clock import Now
from chargerd.model import (
    Authorisation,
    AuthQuestion,
    StopReason,
    StopRequest,
    Token,
)
from chargerd.ocpp.blocks import plug_and_charge
from chargerd.ocpp.blocks.auth_cache import AuthCache
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.desk import Desk
from chargerd.ocpp.blocks.driver_texts import DriverTexts
from chargerd.ocpp.blocks.key_codes import KeyCodes
from chargerd.ocpp.blocks.local_list import LocalList
from chargerd.ocpp.blocks.needs_message import ISO_20
from chargerd.ocpp.blocks.reservation import Reservations
from chargerd.ocpp.blocks.tariffs import Tariffs
from chargerd.ocpp.blocks.tokens import digest, group_of, id_token, with_vehicle
from chargerd.ocpp.effects import Answer, Durability, Payload

DIRECT_PAYMENT = "DirectPayment"
BIDIRECTIONAL = frozenset({"AC_BPT", "AC_BPT_DER", "DC_BPT", "DC_ACDP_BPT"})


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known here of a token, and who says so."""

    info: Payload
    controller: str  # of the device model: of the list or of the cache
    expired: bool = False

    @property
    def good(self) -> bool:
        return self.info["status"] == "Accepted" and not self.expired


class Authorization(Block):
    """Answers AuthQuestions, by the CSMS or, without it, by what is known."""

    def __init__(
        self,
        desk: Desk,
        cache: AuthCache,
        local_list: LocalList,
        reservations: Reservations,
        tariffs: Tariffs,
        texts: DriverTexts,
    ) -> None:
        self._desk = desk
        self._cache = cache
        self._list = local_list
        self._reservations = reservations
        self._tariffs = tariffs
        self._texts = texts
        self._key_codes = KeyCodes()
        self.refused: list[Token] = []  # of payments: a terminal has to give them back

    def ask(self, question: AuthQuestion, now: Now) -> None:
        token, model = question.token, self._desk.model
        if not self._desk.may_begin():
            why = "the central system has not accepted this station yet"
            self._refuse(question, why)
            return
        if not model.flag("AuthCtrlr", "Enabled") or token.kind == "NoAuthorization":
            self._admit(question, {}, now)
            return
        wait_s = self._key_codes.wait_s(token, now)
        if wait_s > 0:  # C04.FR.06
            self._refuse(question, f"wrong codes: wait {wait_s:.0f} s")
            return
        known = self._known(token, now)
        online = self._desk.online and self._desk.accepted
        if known is not None and known.good and self._ends(question, known.info):
            self._admit_known(question, known, now)  # C01.FR.03, E07.FR.01, C16
        elif online and self._asks(question, known):
            self._authorize(question, now)
        else:
            self._decide_locally(question, now, offline=not online)

    def _known(self, token: Token, now: Now) -> _Known | None:
        """The list comes before the cache (C13.FR.01, C14.FR.01)."""
        key = digest(token.kind, token.value)
        listed = self._list.find(key, now)
        if listed is not None:
            return _Known(listed.info, "LocalAuthListCtrlr", listed.expired)
        cached = self._cache.find(key, now)
        return None if cached is None else _Known(cached, "AuthCacheCtrlr")

    def _asks(self, question: AuthQuestion, known: _Known | None) -> bool:
        """Online: is the central system asked?"""
        model = self._desk.model
        if model.flag("AuthCtrlr", "DisableRemoteAuthorization"):
            return False
        if known is None or question.contract is not None:  # C01.FR.02, C07.FR.01
            return True
        if known.good:  # C12, C14.FR.02, .04
            return not model.flag("AuthCtrlr", "LocalPreAuthorize")
        # C10.FR.03, C12.FR.05, C14.FR.03, .05
        disabled = model.flag(known.controller, "DisablePostAuthorize")
        return known.expired or not disabled

    def _ends(self, question: AuthQuestion, info: Payload) -> bool:
        """A known token that ends the session there, or all: nobody need be asked."""
        group = group_of(info)
        if not group:
            return False
        return self._is_master(group) or self._same_group(question.evse_id, group)

    def is_master_pass(self, token: Token, now: Now) -> bool:
        """By its own group, or by the one that is known here."""
        known = self._known(token, now)
        groups = (token.group, group_of(known.info) if known else "")
        return any(self._is_master(group) for group in groups)

    def _is_master(self, group: str) -> bool:
        """Groups are identifiers: letter case does not count."""
        master = self._desk.model.text("AuthCtrlr", "MasterPassGroupId")
        return bool(master) and group.upper() == master.upper()

    def _same_group(self, evse_id: int, group: str) -> bool:
        view = self._desk.evses.get(evse_id)
        session = view.session if view else None
        starter = session.token if session and session.authorised else None
        return starter is not None and starter.group.upper() == group.upper()

    # The central system.

    def _authorize(self, question: AuthQuestion, now: Now) -> None:
        payload: Payload = {"idToken": id_token(question.token)}
        view = self._desk.evses.get(question.evse_id)
        if view is not None and view.report is not None:
            payload["idToken"] = with_vehicle(payload["idToken"], view.report)
        if question.contract is not None:
            more, problem = plug_and_charge.asked_about(question.contract, self._desk)
            if problem:
                self._refuse(question, problem)
                return
            payload.update(more)

        def answered(request: Payload, answer: Answer, at: Now) -> None:
            if isinstance(answer, dict):
                self._authorized(question, answer, at)
            else:
                self._decide_locally(question, at, offline=True)

        self._desk.send(
            "Authorize",
            payload,
            now,
            Durability.NOW_OR_NEVER,
            answered=answered,
        )

    def _authorized(self, question: AuthQuestion, answer: Payload, now: Now) -> None:
        info = answer["idTokenInfo"]
        key = digest(question.token.kind, question.token.value)
        self._cache.learn(id_token(question.token), info, now)
        self._cache.put_tariff(key, answer.get("tariff"))
        good = info["status"] == "Accepted"
        self._key_codes.tried(question.token, now, good=good)
        problem = "" if good else info["status"]
        if question.contract is not None:
            problem = plug_and_charge.certificate_problem(answer) or problem
        if problem:
            self._refuse(question, problem)
            return
        modes = answer.get("allowedEnergyTransfer")
        discharge = self._may_discharge(modes, question.evse_id)
        tariff = answer.get("tariff")
        self._admit(question, info, now, discharge=discharge, tariff=tariff)

    def _may_discharge(self, modes: list[str] | None, evse_id: int) -> bool:
        """By allowedEnergyTransfer; without it, as configured (Q01.FR.08, .09)."""
        if modes is not None:
            return not BIDIRECTIONAL.isdisjoint(modes)
        if self._desk.config.ocpp.discharge_unless_refused:
            return True
        view = self._desk.evses.get(evse_id)
        report = view.report if view else None
        return report is None or report.snapshot.vehicle.protocol != ISO_20

    # Without it.

    def _decide_locally(
        self, question: AuthQuestion, now: Now, *, offline: bool
    ) -> None:
        """C13, C15: a known token, else unknown ones where that is allowed."""
        model = self._desk.model
        if question.contract is not None:  # C07.FR.07 to .12
            problem = plug_and_charge.offline_problem(question.contract, self._desk)
            if problem:
                self._refuse(question, problem)
                return
        known = self._known(question.token, now)
        if known is not None and not known.good:  # C13.FR.06: not an unknown one
            self._refuse(question, "Expired" if known.expired else known.info["status"])
        elif known is not None and (
            not offline or model.flag("AuthCtrlr", "LocalAuthorizeOffline")
        ):
            self._admit_known(question, known, now)
        elif offline and model.flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled"):
            self._admit(question, known.info if known else {}, now)
        else:
            self._refuse(question, "nobody can be asked, and not known here")

    # The heart's answer.

    def _admit_known(self, question: AuthQuestion, known: _Known, now: Now) -> None:
        """With the tariff that came with it, if the cache still has it."""
        tariff = None
        if known.controller == "AuthCacheCtrlr":
            token = question.token
            tariff = self._cache.tariff(digest(token.kind, token.value))
        self._admit(question, known.info, now, tariff=tariff)

    def _admit(
        self,
        question: AuthQuestion,
        info: Payload,
        now: Now,
        *,
        discharge: bool = True,
        tariff: Payload | None = None,
    ) -> None:
        """The token is good. What it is good for, and where, is another matter."""
        evse_id, group = question.evse_id, group_of(info)
        if self._is_master(group):  # C16: it ends all, it starts none
            self._end_all()
            self._refuse(question, "master pass")
            return
        if evse_id not in info.get("evseId", [evse_id]):  # C01.FR.21
            self._refuse(question, "NotAllowedTypeEVSE")
            return
        token = replace(question.token, group=group) if group else question.token
        view = self._desk.evses.get(evse_id)
        if view is not None and not view.runs:  # else it is about the end
            if self._reservations.refuses(evse_id, token):
                self._refuse(question, "reserved for somebody else")
                return
            if view.web_payment_runs(now.mono):  # C25.FR.22
                self._refuse(question, "somebody is paying for it on the web")
                return
            problem = self._tariffs.offered(evse_id, token, tariff, now)
            if problem:  # I08.FR.32, .33
                self._refuse(question, problem)
                return
            self._reservations.use(evse_id, token, now)
            self._texts.welcome(evse_id, info)
        enabled = self._desk.model.flag("V2XChargingCtrlr", "Enabled", evse_id)
        status = info.get("status", "")
        self._tell(Authorisation(evse_id, token, True, discharge and enabled, status))

    def _refuse(self, question: AuthQuestion, why: str) -> None:
        if question.token.kind == DIRECT_PAYMENT:  # C18.FR.07
            self.refused.append(question.token)
        self._tell(
            Authorisation(question.evse_id, question.token, accepted=False, info=why)
        )

    def _tell(self, answer: Authorisation) -> None:
        self._desk.ask(replace(answer, connect_s=self._desk.connect_s()))

    def _end_all(self) -> None:
        """There is no screen to choose on (C16.FR.02)."""
        for evse_id, view in self._desk.evses.items():
            if view.transaction_id or view.runs:
                self._desk.ask(StopRequest(evse_id, StopReason.MASTER_PASS))
