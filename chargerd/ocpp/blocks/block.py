"""What a functional block may be told; it overrides what concerns it.

Owns nothing. `OcppStation` finds out once which block overrides what, so a block that
does not listen costs nothing at 20 Hz.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from chargerd.clock import Now
from chargerd.model import EvseReport
from chargerd.ocpp.blocks.desk import EvseView
from chargerd.ocpp.effects import Answer, Later, Payload
from chargerd.ocpp.variable import Refused, Variable

Handler = Callable[[Payload, Now], Answer | Later]
Trigger = Callable[[Payload, Now], str]  # the request's `evse`; the answer's status
Guard = Callable[[Variable, str], Refused | None]  # may the CSMS set this value?


class Block:
    """All of it is optional. `now` is the instant of the call, never older."""

    def routes(self) -> Mapping[str, Handler]:
        """The CSMS's actions this block answers. A handler never raises."""
        return {}

    def triggers(self) -> Mapping[str, Trigger]:
        """What TriggerMessage can ask this block for, by the message's name."""
        return {}

    def guards(self) -> Mapping[str, Guard]:
        """What a value has to fit beside type and range, by "Component.Variable"."""
        return {}

    def variable_set(self, variable: Variable, now: Now) -> None:
        """The CSMS has set a value of the device model."""

    def refresh(self, now: Now) -> None:
        """Somebody is about to read the device model: update what is measured."""

    def begin(self, now: Now) -> None:
        """The first instant: only now is there a time to stamp events with."""

    def observe(self, view: EvseView, report: EvseReport, now: Now) -> None:
        """One tick of one EVSE, at 20 Hz: cheap unless something has changed."""

    def on_second(self, now: Now) -> None:
        """About once a second while EVSEs report."""

    def link(self, up: bool, offline_s: float, now: Now) -> None:
        """The connection came up, after `offline_s` without, or went down."""

    def registered(self, now: Now) -> None:
        """A BootNotification was accepted."""

    def result(self, request: Payload, answer: Answer, now: Now) -> None:
        """The outcome of a durable CALL named in `durable`, also of an earlier run."""

    durable: tuple[str, ...] = ()

    def next_timer(self) -> float:
        """When `on_timer` is due, monotonic; infinity = nothing waits."""
        return math.inf

    def on_timer(self, now: Now) -> None:
        """Called at any time; what is not due must be left alone."""
