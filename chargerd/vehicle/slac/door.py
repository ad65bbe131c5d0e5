"""A vehicle door behind a power-line modem: the inner door, and its link's state.

Adds what the SLAC unit says to the inner door's state, tells the unit the pilot, and
gives the link up when a session has ended. Decides nothing else.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from chargerd.model import (
    DataLink,
    VehicleDoor,
    VehicleOffer,
    VehiclePhase,
    VehicleState,
)
from chargerd.vehicle.slac.client import SlacClient
from chargerd.vehicle.slac.matching import Leave, State

LEAVE_S = 5.0  # after the session: its connection closes first
_LINKS = {
    State.NO_MODEM: DataLink.ABSENT,
    State.UNMATCHED: DataLink.UNMATCHED,
    State.MATCHING: DataLink.MATCHING,
    State.JOINING: DataLink.MATCHING,
    State.MATCHED: DataLink.READY,
}
_LEAVES = {VehiclePhase.ENDED: Leave.TERMINATE, VehiclePhase.FAULT: Leave.ERROR}


class SlacDoor:
    """`model.VehicleDoor` around another one."""

    def __init__(self, inner: VehicleDoor, client: SlacClient) -> None:
        self._inner, self._client = inner, client
        self._phase = VehiclePhase.NONE
        self._leave_mono: float | None = None

    def offer(self, offer: VehicleOffer) -> None:
        """The pilot goes to the unit; an unread pilot is "?"."""
        pilot = offer.telemetry.pilot
        self._client.pilot(pilot.value.pilot_state.value if pilot else "?")
        self._inner.offer(offer)
        self._session_over(offer.at_mono)

    def state(self) -> VehicleState:
        """The inner door's, with the link's."""
        status = self._client.status()
        link = DataLink.ABSENT if status is None else _LINKS[status.state]
        return replace(self._inner.state(), data_link=link)

    async def run(self) -> None:
        """Both, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._client.run())
            group.create_task(self._inner.run())

    def _session_over(self, now_mono: float) -> None:
        """D-LINK_TERMINATE or D-LINK_ERROR, once, a while after the phase changed."""
        state = self._inner.state()
        if state.phase is not self._phase:
            self._phase = state.phase
            over = state.phase in _LEAVES  # a paused session keeps its link
            self._leave_mono = now_mono + LEAVE_S if over else None
        if self._leave_mono is not None and now_mono >= self._leave_mono:
            self._leave_mono = None
            self._client.leave(_LEAVES[state.phase])
