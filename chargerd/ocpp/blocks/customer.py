"""What is kept of a customer: told and forgotten on request (N09, N10).

Owns CustomerInformation. Customers are known here by their tokens only; the local list
is told but stays, it is the CSMS's (N10.FR.02). Nothing of it goes into a log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from chargerd.clock import Now
from chargerd.ocpp.blocks.auth_cache import AuthCache
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, refusal
from chargerd.ocpp.blocks.local_list import LocalList
from chargerd.ocpp.blocks.tokens import digest_of
from chargerd.ocpp.effects import Answer, Payload

SLICE = 512  # characters of `data`
NOTHING, CLEARED = "no data found", "data cleared"
WHO = ("idToken", "customerCertificate", "customerIdentifier")


class Customer(Block):
    def __init__(self, desk: Desk, cache: AuthCache, local_list: LocalList) -> None:
        self._desk = desk
        self._cache = cache
        self._list = local_list
        self._waiting = 0  # reports that the CSMS has not answered yet

    def routes(self) -> Mapping[str, Handler]:
        return {"CustomerInformation": self.information}

    def information(self, request: Payload, now: Now) -> Answer:
        """CustomerInformation."""
        named = [name for name in WHO if name in request]
        if len(named) != 1:  # N09.FR.09
            text = "name one idToken, certificate or identifier"
            return refusal("InvalidValue", text, "Invalid")
        report, clear = request["report"], request["clear"]
        if not (report or clear):  # N09.FR.07, N10.FR.07
            return refusal("MissingParam", "neither report nor clear")
        if self._waiting:  # N09.FR.03
            return refusal("OutOfMemory", "an earlier report is still on its way")
        token = request.get("idToken")
        found = self._found(token, now) if token and report else {}
        text = json.dumps(found, ensure_ascii=False) if found else NOTHING
        if token and clear:
            self._cache.forget(digest_of(token))
        if not report:
            text = CLEARED
        self._tell(request["requestId"], text, now)
        return {"status": "Accepted"}

    def _found(self, token: Payload, now: Now) -> Payload:
        key = digest_of(token)
        known = self._list.find(key, now)
        running = [
            view.transaction_id
            for view in self._desk.evses.values()
            if view.transaction_id and view.report is not None
            for used in [view.report.snapshot.session.token]
            if used and digest_of({"type": used.kind, "idToken": used.value}) == key
        ]
        found = {
            "authorizationCache": self._cache.held(key),
            "localAuthorizationList": known.info if known else None,
            "transactions": running,
        }
        return {name: value for name, value in found.items() if value}

    def _tell(self, request_id: int, text: str, now: Now) -> None:
        slices = [text[at : at + SLICE] for at in range(0, len(text), SLICE)]
        self._waiting = len(slices)
        self._desk.report(
            "NotifyCustomerInformation", request_id, "data", slices, now, self._told
        )

    def _told(self, request: Payload, answer: Answer, now: Now) -> None:
        self._waiting -= 1
