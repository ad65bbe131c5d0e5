"""An ISO 15118-2 session, the station's side: which function handles which message.

Owns the two tables and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from chargerd.vehicle.iso15118.secc import iso2_contract as contract
from chargerd.vehicle.iso15118.secc import iso2_dc as dc
from chargerd.vehicle.iso15118.secc import iso2_power as power
from chargerd.vehicle.iso15118.secc import iso2_setup as setup
from chargerd.vehicle.iso15118.secc.iso2_base import Builder, Handler
from chargerd.vehicle.iso15118.secc.iso2_course import Iso2Course

HANDLERS: Mapping[str, Handler] = {
    "SessionSetupReq": setup.session_setup,
    "ServiceDiscoveryReq": setup.discovery,
    "ServiceDetailReq": setup.detail,
    "PaymentServiceSelectionReq": setup.selection,
    "CertificateInstallationReq": contract.certificate,
    "CertificateUpdateReq": contract.certificate,
    "PaymentDetailsReq": contract.payment_details,
    "AuthorizationReq": setup.authorization,
    "ChargeParameterDiscoveryReq": power.parameters,
    "CableCheckReq": dc.cable_check,
    "PreChargeReq": dc.precharge,
    "PowerDeliveryReq": power.power_delivery,
    "CurrentDemandReq": dc.current_demand,
    "WeldingDetectionReq": dc.welding,
    "ChargingStatusReq": power.charging_status,
    "MeteringReceiptReq": contract.receipt,
    "SessionStopReq": setup.session_stop,
}
ANSWERS: Mapping[str, Builder] = {
    "SessionSetupReq": setup.session_setup_res,
    "ServiceDiscoveryReq": setup.discovery_res,
    "ServiceDetailReq": setup.detail_res,
    "PaymentServiceSelectionReq": setup.selection_res,
    "CertificateInstallationReq": contract.installation_res,
    "CertificateUpdateReq": contract.update_res,
    "PaymentDetailsReq": contract.payment_details_res,
    "AuthorizationReq": setup.authorization_res,
    "ChargeParameterDiscoveryReq": power.parameters_res,
    "CableCheckReq": dc.cable_check_res,
    "PreChargeReq": dc.precharge_res,
    "PowerDeliveryReq": power.power_delivery_res,
    "CurrentDemandReq": power.current_demand_res,
    "WeldingDetectionReq": dc.welding_res,
    "ChargingStatusReq": power.charging_status_res,
    "MeteringReceiptReq": power.receipt_res,
    "SessionStopReq": setup.session_stop_res,
}


class Iso2Session(Iso2Course):
    """One ISO 15118-2 session; see flow.Session.

    `paused`: what this connector's last session left when it paused.
    """

    handlers = HANDLERS
    answers = ANSWERS
