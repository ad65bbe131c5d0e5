"""What an ISO 15118-2 session remembers.

Owns what the session's modules share. Handles no message.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.secc import iso2_dc as dc
from chargerd.vehicle.iso15118.secc.flow import TIMES_2, RandomBytes, Times
from chargerd.vehicle.iso15118.secc.iso2_base import TwoSession
from chargerd.vehicle.iso15118.secc.iso2_graph import GRAPH
from chargerd.vehicle.iso15118.secc.station import Authorise, Energy, Setup

AC_MODES = {1: ("AC_single_phase_core",), 3: ("AC_three_phase_core",)}


@dataclass(frozen=True, slots=True)
class Paused:
    """What a session that paused leaves for the one that resumes it, [V2G2-741]."""

    id: bytes
    payment: str
    mode: str
    schedule_id: int


class Iso2Course(TwoSession):
    """The memory of one session; iso2.py makes it a session.

    `tls`: the connection is TLS; without it no contract is offered [V2G2-633].
    `paused`: what this connector's last session left when it paused.
    """

    protocol = "iso15118-2"
    messages: ClassVar[ModuleType] = m
    graph = GRAPH

    def __init__(
        self,
        setup: Setup,
        random: RandomBytes,
        *,
        times: Times = TIMES_2,
        tls: bool = False,
        paused: Paused | None = None,
    ) -> None:
        super().__init__(setup, random, times=times)
        self.tls = tls
        self.payment = ""
        self.before = paused
        self.left: Paused | None = None  # set by SessionStop(Pause)

    def paused(self) -> Paused | None:
        return self.left


def modes(setup: Setup) -> list[Any]:
    """EnergyTransferModes on offer."""
    modes: list[Any] = []
    for energy in setup.energies:
        if energy is Energy.DC:
            modes.extend(dc.DC_MODES)
        elif energy is Energy.AC:
            modes.extend(AC_MODES.get(setup.ratings.ac_phases, ()))
    return modes


def payments(setup: Setup) -> list[Any]:
    """Ways to pay on offer: contracts are not understood, so they are not offered."""
    return ["ExternalPayment"] if Authorise.EIM in setup.authorise else []


def said(code: str) -> m.ResponseCode:
    return code  # type: ignore[return-value]  # the tests hold every code to the schema


def processing(session: Iso2Course) -> m.EVSEProcessing:
    return "Ongoing" if session.processing == "Ongoing" else "Finished"
