"""The order of an ISO 15118-2 session: states, and which request may come in which.

Owns the ordering graph and nothing else; the bench's vehicle uses it, too (ADR 009).
"""

from __future__ import annotations

from collections.abc import Mapping

from chargerd.vehicle.iso15118.secc.flow import Graph

Rows = Mapping[str, Mapping[str, tuple[str, ...]]]

FAILED, OVER = "failed", "over"  # states every graph of this family has

_STOP = {"SessionStopReq": (OVER,)}
# Until DC power may start; DIN 70121 has the same.
DC_CABLE: Rows = {
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
}
GRAPH = Graph(
    "setup",
    {
        "setup": {"SessionSetupReq": ("discovery",)},
        "discovery": {"ServiceDiscoveryReq": ("selection",), **_STOP},
        "selection": {
            "ServiceDetailReq": ("selection",),
            "PaymentServiceSelectionReq": ("authorization", "contract"),
            **_STOP,
        },
        "contract": {
            "CertificateInstallationReq": ("details",),
            "CertificateUpdateReq": ("details",),
            "PaymentDetailsReq": ("authorization",),
            **_STOP,
        },
        "details": {"PaymentDetailsReq": ("authorization",), **_STOP},
        "authorization": {
            "AuthorizationReq": ("authorization", "parameters"),
            **_STOP,
        },
        "parameters": {
            "ChargeParameterDiscoveryReq": ("parameters", "cable_check", "ac_power"),
            **_STOP,
        },
        **DC_CABLE,
        "current_demand": {
            "CurrentDemandReq": ("current_demand",),
            "MeteringReceiptReq": ("current_demand",),
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
            "MeteringReceiptReq": ("charging",),
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
