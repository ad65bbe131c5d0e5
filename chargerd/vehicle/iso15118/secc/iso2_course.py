"""What an ISO 15118-2 session remembers, and the order of its messages.

Owns the graph and what the session's modules share. Handles no message.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.secc import iso2_dc as dc
from chargerd.vehicle.iso15118.secc.flow import TIMES_2, Graph, RandomBytes, Times
from chargerd.vehicle.iso15118.secc.iso2_base import FAILED, OVER, TwoSession
from chargerd.vehicle.iso15118.secc.station import Authorise, Energy, Setup

AC_MODES = {1: ("AC_single_phase_core",), 3: ("AC_three_phase_core",)}

_STOP = {"SessionStopReq": (OVER,)}
GRAPH = Graph(
    "setup",
    {
        "setup": {"SessionSetupReq": ("discovery",)},
        "discovery": {"ServiceDiscoveryReq": ("selection",), **_STOP},
        "selection": {
            "ServiceDetailReq": ("selection",),
            "PaymentServiceSelectionReq": ("authorization",),
            **_STOP,
        },
        "authorization": {
            "AuthorizationReq": ("authorization", "parameters"),
            **_STOP,
        },
        "parameters": {
            "ChargeParameterDiscoveryReq": ("parameters", "cable_check", "ac_power"),
            **_STOP,
        },
        "cable_check": {
            "CableCheckReq": ("cable_check", "precharge"),
            "PowerDeliveryReq": ("welding",),
            **_STOP,
        },
        "precharge": {
            "PreChargeReq": ("power",),
            "PowerDeliveryReq": ("welding",),
            **_STOP,
        },
        "power": {
            "PreChargeReq": ("power",),
            "PowerDeliveryReq": ("welding", "current_demand"),
            **_STOP,
        },
        "current_demand": {
            "CurrentDemandReq": ("current_demand",),
            "PowerDeliveryReq": ("welding", "dc_again"),
            **_STOP,
        },
        "dc_again": {
            "ChargeParameterDiscoveryReq": ("dc_again", "dc_power"),
            "PowerDeliveryReq": ("welding",),
            **_STOP,
        },
        "dc_power": {"PowerDeliveryReq": ("welding", "current_demand"), **_STOP},
        "welding": {"WeldingDetectionReq": ("welding",), **_STOP},
        "ac_power": {"PowerDeliveryReq": ("stopped", "charging"), **_STOP},
        "charging": {
            "ChargingStatusReq": ("charging",),
            "PowerDeliveryReq": ("stopped", "ac_again"),
            **_STOP,
        },
        "ac_again": {
            "ChargeParameterDiscoveryReq": ("ac_again", "ac_power"),
            "PowerDeliveryReq": ("stopped",),
            **_STOP,
        },
        "stopped": {**_STOP},
        FAILED: {**_STOP},
        OVER: {},
    },
)


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
