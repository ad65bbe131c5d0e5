"""The order of a DIN 70121 session: states, and which request may come in which.

Owns the ordering graph and nothing else; the bench's vehicle uses it, too (ADR 009).
"""

from __future__ import annotations

from chargerd.vehicle.iso15118.secc.flow import Graph
from chargerd.vehicle.iso15118.secc.iso2_graph import DC_CABLE, FAILED, OVER

_STOP = {"SessionStopReq": (OVER,)}
GRAPH = Graph(
    "setup",
    {
        "setup": {"SessionSetupReq": ("discovery",)},
        "discovery": {"ServiceDiscoveryReq": ("selection",), **_STOP},
        "selection": {
            "ServiceDetailReq": ("selection",),
            "ServicePaymentSelectionReq": ("authorization",),
            **_STOP,
        },
        "authorization": {
            "ContractAuthenticationReq": ("authorization", "parameters"),
            **_STOP,
        },
        "parameters": {
            "ChargeParameterDiscoveryReq": ("parameters", "cable_check"),
            **_STOP,
        },
        **DC_CABLE,
        "current_demand": {
            "CurrentDemandReq": ("current_demand",),
            "PowerDeliveryReq": ("welding",),
            **_STOP,
        },
        "welding": {"WeldingDetectionReq": ("welding",), **_STOP},
        FAILED: {**_STOP},
        OVER: {},
    },
)
