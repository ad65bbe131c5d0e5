"""Block C: may this token start or stop a session?

Owns Authorize, the authorization cache (C10, C12) and the offline rules (C13, C15).
Identities go out in messages and into the saved cache only: never into a log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from chargerd.clock import Now
from chargerd.model import (
    Authorisation,
    AuthQuestion,
    EvseReport,
    StopReason,
    StopRequest,
    Token,
)
from chargerd.ocpp.blocks import plug_and_charge
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, stamp
from chargerd.ocpp.blocks.needs_message import ISO_20
from chargerd.ocpp.effects import Answer, Durability, OcppError, Payload
from chargerd.ocpp.profiles import parse_time

MAX_CACHED = 500
BIDIRECTIONAL = frozenset({"AC_BPT", "AC_BPT_DER", "DC_BPT", "DC_ACDP_BPT"})
UNCACHED_KINDS = frozenset({"Central", "NoAuthorization"})  # C10, C01.FR.09


def id_token(token: Token) -> Payload:
    return {"idToken": token.value, "type": token.kind}


def with_vehicle(token: Payload, report: EvseReport) -> Payload:
    """The vehicle's own id beside the token: an ISO 15118-20 transaction may become
    bidirectional, and who may is a matter of the vehicle (Q01.FR.02)."""
    vehicle = report.snapshot.vehicle
    if vehicle.protocol != ISO_20 or not vehicle.vehicle_id:
        return token
    vehicle_id = {"additionalIdToken": vehicle.vehicle_id, "type": "EVCCID"}
    return {**token, "additionalInfo": [vehicle_id]}


def group_of(info: Payload) -> str:
    group: str = info.get("groupIdToken", {}).get("idToken", "")
    return group


def _cache_key(kind: str, value: str) -> str:
    """Tokens are kept as a digest: a stolen disk must not hand out cards."""
    return hashlib.sha256(f"{kind}:{value.upper()}".encode()).hexdigest()[:32]


class Authorization(Block):
    """Answers AuthQuestions, by the CSMS or, without it, by what is known."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        saved = desk.saved.get("auth_cache", {})
        self._cache: dict[str, dict[str, Any]] = {
            key: value
            for key, value in saved.items()
            if isinstance(value, dict) and isinstance(value.get("until"), str)
        }

    def routes(self) -> Mapping[str, Handler]:
        return {
            "ClearCache": self.clear_cache,
        }

    def ask(self, question: AuthQuestion, now: Now) -> None:
        token = question.token
        model = self._desk.model
        early = model.flag("TxCtrlr", "TxBeforeAcceptedEnabled")
        if not (self._desk.accepted or early):  # B02.FR.03, B03.FR.01
            why = "the central system has not accepted this station yet"
            self._answer(question, accepted=False, info=why)
            return
        if not model.flag("AuthCtrlr", "Enabled") or token.kind == "NoAuthorization":
            self._answer(question, accepted=True)
            return
        entry = self._cached(token, now)
        if entry is not None and self._may_stop(question, entry):  # E07.FR.01
            self._answer(question, accepted=True, group=entry["group"])
            return
        online = self._desk.online and self._desk.accepted
        if online and not (
            model.flag("AuthCtrlr", "LocalPreAuthorize")
            and self._cached(token, now) is not None
        ):
            self._authorize(question, now)
        else:
            self._decide_locally(question, now)

    def _may_stop(self, question: AuthQuestion, entry: Mapping[str, Any]) -> bool:
        """A known token of the group that runs the session there: it stops it, and
        nobody need be asked."""
        view = self._desk.evses.get(question.evse_id)
        report = view.report if view else None
        if report is None or not entry.get("group"):
            return False
        session = report.snapshot.session
        starter = session.token if session.authorised else None
        return starter is not None and starter.group == entry["group"]

    def _authorize(self, question: AuthQuestion, now: Now) -> None:
        payload: Payload = {"idToken": id_token(question.token)}
        view = self._desk.evses.get(question.evse_id)
        if view is not None and view.report is not None:
            payload["idToken"] = with_vehicle(payload["idToken"], view.report)
        if question.contract is not None:
            more, problem = plug_and_charge.asked_about(question.contract, self._desk)
            if problem:
                self._answer(question, accepted=False, info=problem)
                return
            payload.update(more)

        def answered(request: Payload, answer: Answer, at: Now) -> None:
            if isinstance(answer, dict):
                self._authorized(question, answer, at)
            else:
                self._decide_locally(question, at)

        self._desk.send(
            "Authorize",
            payload,
            now,
            Durability.NOW_OR_NEVER,
            answered=answered,
        )

    def _authorized(self, question: AuthQuestion, answer: Payload, now: Now) -> None:
        info = answer["idTokenInfo"]
        self.learn(id_token(question.token), info, now)
        modes = answer.get("allowedEnergyTransfer")
        here = question.evse_id in info.get("evseId", [question.evse_id])
        problem = "" if here else "NotAllowedTypeEVSE"
        if question.contract is not None:
            problem = plug_and_charge.certificate_problem(answer) or problem
        self._answer(
            question,
            accepted=info["status"] == "Accepted" and not problem,
            group=group_of(info),
            discharge=self._may_discharge(modes, question.evse_id),
            info=problem or info["status"],
        )

    def _may_discharge(self, modes: list[str] | None, evse_id: int) -> bool:
        """By allowedEnergyTransfer; without it, as configured (Q01.FR.08, .09)."""
        if modes is not None:
            return not BIDIRECTIONAL.isdisjoint(modes)
        if self._desk.config.ocpp.discharge_unless_refused:
            return True
        view = self._desk.evses.get(evse_id)
        report = view.report if view else None
        return report is None or report.snapshot.vehicle.protocol != ISO_20

    def _decide_locally(self, question: AuthQuestion, now: Now) -> None:
        """C13, C15: a cached token, else unknown ones where that is allowed."""
        model = self._desk.model
        if question.contract is not None:  # C07.FR.07 to .12
            problem = plug_and_charge.offline_problem(question.contract, self._desk)
            if problem:
                self._answer(question, accepted=False, info=problem)
                return
        entry = self._cached(question.token, now)
        if entry is not None and model.flag("AuthCtrlr", "LocalAuthorizeOffline"):
            self._answer(question, accepted=True, group=entry.get("group", ""))
        elif model.flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled"):
            self._answer(question, accepted=True)
        else:
            self._answer(question, accepted=False, info="offline and not known here")

    def _answer(
        self,
        question: AuthQuestion,
        *,
        accepted: bool,
        group: str = "",
        discharge: bool = True,
        info: str = "",
    ) -> None:
        evse_id = question.evse_id
        master = self._desk.model.text("AuthCtrlr", "MasterPassGroupId")
        if accepted and group and group == master:  # C16: stops all, starts none
            view = self._desk.evses.get(evse_id)
            if view is not None and view.transaction_id:
                self._desk.ask(StopRequest(evse_id, StopReason.MASTER_PASS))
            accepted, info = False, "master pass"
        token = question.token
        if group:
            token = Token(token.value, token.kind, group)
        enabled = self._desk.model.flag("V2XChargingCtrlr", "Enabled", evse_id)
        allowed = discharge and enabled
        within_s = self._desk.connect_s()
        self._desk.ask(Authorisation(evse_id, token, accepted, allowed, info, within_s))

    # The cache.

    def learn(self, token: Payload, info: Payload, now: Now) -> None:
        """Remember what the CSMS said of a token (C10.FR.01, .02, .05)."""
        if not self._desk.model.flag("AuthCacheCtrlr", "Enabled"):
            return
        if token["type"] in UNCACHED_KINDS:
            return
        key = _cache_key(token["type"], token["idToken"])
        if info["status"] != "Accepted":
            if self._cache.pop(key, None) is not None:
                self._desk.save("auth_cache", key, None)
            return
        life_s = self._desk.model.number("AuthCacheCtrlr", "LifeTime")
        until = now.utc + timedelta(seconds=life_s or 31_536_000)
        if "cacheExpiryDateTime" in info:
            try:
                until = parse_time(info["cacheExpiryDateTime"])
            except OcppError:
                return  # no usable end: better not known than known for ever
        entry = {"until": stamp(until), "group": group_of(info)}
        if key not in self._cache and len(self._cache) >= MAX_CACHED:
            oldest = min(self._cache, key=lambda k: str(self._cache[k]["until"]))
            del self._cache[oldest]
            self._desk.save("auth_cache", oldest, None)
        if self._cache.get(key) != entry:
            self._cache[key] = entry
            self._desk.save("auth_cache", key, entry)

    def _cached(self, token: Token, now: Now) -> dict[str, Any] | None:
        if not self._desk.model.flag("AuthCacheCtrlr", "Enabled"):
            return None
        entry = self._cache.get(_cache_key(token.kind, token.value))
        if entry is None:
            return None
        try:
            return entry if now.utc < parse_time(entry["until"]) else None
        except OcppError:
            return None

    def clear_cache(self, request: Payload, now: Now) -> Answer:
        """ClearCache (C11)."""
        if not self._desk.model.flag("AuthCacheCtrlr", "Enabled"):
            return {"status": "Rejected"}
        for key in self._cache:
            self._desk.save("auth_cache", key, None)
        self._cache.clear()
        return {"status": "Accepted"}
