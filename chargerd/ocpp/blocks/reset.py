"""Reset of the station or of one EVSE (B11, B12, B13).

Owns the answer, what ends before a reset, and which reset waits for transactions. Never
restarts anything itself: it asks the heart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chargerd.clock import Now
from chargerd.model import ResetRequest, StopReason, StopRequest
from chargerd.ocpp.blocks.availability import STATION, Availability
from chargerd.ocpp.blocks.block import Block, Handler
from chargerd.ocpp.blocks.desk import Desk, EvseView, refusal
from chargerd.ocpp.blocks.resuming import Resuming
from chargerd.ocpp.effects import Answer, Payload

HOLD = "reset"


class Reset(Block):
    def __init__(
        self,
        desk: Desk,
        availability: Availability,
        resuming: Resuming,
        blocked: Callable[[], str],
    ) -> None:
        """`blocked`: why nothing may be reset now, "" = it may (B11.FR.06)."""
        self._desk = desk
        self._availability = availability
        self._resuming = resuming
        self._waiting: set[int] = set()  # EVSE, or STATION, until no transaction runs
        self._blocked = blocked

    def routes(self) -> Mapping[str, Handler]:
        return {"Reset": self.reset}

    def reset(self, request: Payload, now: Now) -> Answer:
        evse_id, kind = request.get("evseId", STATION), request["type"]
        if evse_id != STATION and evse_id not in self._desk.evses:
            return refusal("UnknownEvse", f"there is no EVSE {evse_id}")
        if kind == "ImmediateAndResume" and not self._resuming.available:
            return refusal("UnsupportedRequest", "TxCtrlr.ResumptionTimeout is 0")
        why = self._blocked()
        if why:
            return refusal("FwUpdateInProgress", why)
        busy = self._busy(evse_id)
        self._desk.security_event("ResetOrReboot", now, f"Reset {kind} EVSE {evse_id}")
        if busy and kind == "OnIdle":
            self._wait(evse_id)
            return {"status": "Scheduled"}
        self._wait_no_more(evse_id)
        if kind == "ImmediateAndResume":
            self._resuming.interrupt(now, evse_id)
        elif kind == "Immediate":
            self._stop(evse_id)
        self._go(evse_id, "RemoteReset", immediate=kind != "OnIdle")
        return {"status": "Accepted"}

    def _views(self, evse_id: int) -> list[EvseView]:
        views = self._desk.evses
        return list(views.values()) if evse_id == STATION else [views[evse_id]]

    def _busy(self, evse_id: int) -> bool:
        return any(view.transaction_id for view in self._views(evse_id))

    def _stop(self, evse_id: int) -> None:
        for view in self._views(evse_id):
            if view.plugged:
                stop = StopRequest(view.config.id, StopReason.IMMEDIATE_RESET)
                self._desk.ask(stop)

    def _wait(self, evse_id: int) -> None:
        """No new session begins where a reset waits: else it might wait for ever."""
        self._waiting.add(evse_id)
        for view in self._views(evse_id):
            self._availability.hold(view.config.id, f"{HOLD} {evse_id}")

    def _wait_no_more(self, evse_id: int) -> None:
        self._waiting.discard(evse_id)
        for view in self._views(evse_id):
            self._availability.release(view.config.id, f"{HOLD} {evse_id}")

    def on_second(self, now: Now) -> None:
        for evse_id in [e for e in self._waiting if not self._busy(e)]:
            self._go(evse_id, "ScheduledReset", immediate=False)
            self._wait_no_more(evse_id)  # the heart lets nothing start any more

    def _go(self, evse_id: int, reason: str, *, immediate: bool) -> None:
        if evse_id == STATION:
            self._desk.save("boot", "reason", reason)
        self._desk.ask(ResetRequest(evse_id, immediate))
