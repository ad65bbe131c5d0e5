"""A DIN 70121 session, the station's side: times and handlers.

Owns its times, and which function handles which message.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import ClassVar

from chargerd.vehicle.iso15118.messages import din as m
from chargerd.vehicle.iso15118.secc import din_steps as steps
from chargerd.vehicle.iso15118.secc import iso2_dc as dc
from chargerd.vehicle.iso15118.secc.din_graph import GRAPH
from chargerd.vehicle.iso15118.secc.flow import RandomBytes, Times
from chargerd.vehicle.iso15118.secc.iso2_base import Builder, Handler, TwoSession
from chargerd.vehicle.iso15118.secc.station import Setup

# As ISO 15118-2, but every message except the loop has 2 s, ours are 3/4 of them.
TIMES_DIN = Times(
    answer_s={"CurrentDemandReq": 0.025},
    ongoing_s={"CableCheckReq": 38.0, "PreChargeReq": 5.0, steps.CP_STATE: 1.5},
)

HANDLERS: Mapping[str, Handler] = {
    "SessionSetupReq": steps.session_setup,
    "ServiceDiscoveryReq": steps.ok,
    "ServiceDetailReq": steps.detail,
    "ServicePaymentSelectionReq": steps.selection,
    "ContractAuthenticationReq": steps.authentication,
    "ChargeParameterDiscoveryReq": steps.parameters,
    "CableCheckReq": steps.cable_check,
    "PreChargeReq": dc.precharge,
    "PowerDeliveryReq": steps.power_delivery,
    "CurrentDemandReq": dc.current_demand,
    "WeldingDetectionReq": dc.welding,
    "SessionStopReq": steps.ok,
}
ANSWERS: Mapping[str, Builder] = {
    "SessionSetupReq": steps.session_setup_res,
    "ServiceDiscoveryReq": steps.discovery_res,
    "ServiceDetailReq": steps.detail_res,
    "ServicePaymentSelectionReq": steps.selection_res,
    "ContractAuthenticationReq": steps.authentication_res,
    "ChargeParameterDiscoveryReq": steps.parameters_res,
    "CableCheckReq": dc.cable_check_res,
    "PreChargeReq": dc.precharge_res,
    "PowerDeliveryReq": steps.power_delivery_res,
    "CurrentDemandReq": steps.current_demand_res,
    "WeldingDetectionReq": dc.welding_res,
    "SessionStopReq": steps.session_stop_res,
    # No row in the graph, no handler: always a sequence error, told whole [V2G-DC-390].
    "PaymentDetailsReq": steps.payment_details_res,
    "ChargingStatusReq": steps.charging_status_res,
    "MeteringReceiptReq": steps.receipt_res,
    "CertificateInstallationReq": steps.installation_res,
    "CertificateUpdateReq": steps.update_res,
}


class DinSession(TwoSession):
    """One DIN 70121 session; see flow.Session. No TLS, no contract, no pause."""

    protocol = "din70121"
    messages: ClassVar[ModuleType] = m
    graph = GRAPH
    handlers = HANDLERS
    answers = ANSWERS

    def __init__(
        self, setup: Setup, random: RandomBytes, *, times: Times = TIMES_DIN
    ) -> None:
        super().__init__(setup, random, times=times)
