"""ISO 15118-20 answers that say FAILED: the smallest message the schema allows.

Owns the filling of mandatory fields that mean nothing beside a FAILED code. A loop is
answered in its own control mode [V2G20-1600]. Must never hand out a real credential.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import ac, common, dc
from chargerd.vehicle.iso15118.messages.common_types import (
    CLReqControlMode,
    CLResControlMode,
    MessageHeader,
    ResponseCode,
    V2GRequest,
    V2GResponse,
)
from chargerd.vehicle.iso15118.secc.limits import rational


def _zeros(names: str) -> dict[str, Any]:
    return {name: rational(0.0) for name in names.split()}


def _services() -> dict[str, Any]:
    service = common.Service(ServiceID=1, FreeService=False)
    services = common.ServiceList(Service=[service])
    return {
        "ServiceRenegotiationSupported": False,
        "EnergyTransferServiceList": services,
    }


def _service_detail() -> dict[str, Any]:
    nothing = common.Parameter(Name="", intValue=0)
    sets = common.ParameterSet(ParameterSetID=0, Parameter=[nothing])
    only = common.ServiceParameterList(ParameterSet=[sets])
    return {"ServiceID": 0, "ServiceParameterList": only}


def _dc_parameters() -> dict[str, Any]:
    names = "EVSEMaximumChargePower EVSEMinimumChargePower EVSEMaximumChargeCurrent "
    names += "EVSEMinimumChargeCurrent EVSEMaximumVoltage EVSEMinimumVoltage"
    mode = dc.DC_CPDResEnergyTransferMode(**_zeros(names))
    return {"DC_CPDResEnergyTransferMode": mode}


def _ac_parameters() -> dict[str, Any]:
    names = "EVSEMaximumChargePower EVSEMinimumChargePower EVSENominalFrequency"
    mode = ac.AC_CPDResEnergyTransferMode(**_zeros(names))
    return {"AC_CPDResEnergyTransferMode": mode}


_DC_CHARGE = "EVSEMaximumChargePower EVSEMinimumChargePower EVSEMaximumChargeCurrent "
_DC_CHARGE += "EVSEMaximumVoltage"
_DC_BOTH = f"{_DC_CHARGE} EVSEMaximumDischargePower EVSEMinimumDischargePower "
_DC_BOTH += "EVSEMaximumDischargeCurrent EVSEMinimumVoltage"
_AC_TARGET = "EVSETargetActivePower"

# Control mode of the request -> that of the answer, and its mandatory fields.
_MODES: dict[type[CLReqControlMode], tuple[type[CLResControlMode], str]] = {
    dc.Scheduled_DC_CLReqControlMode: (dc.Scheduled_DC_CLResControlMode, ""),
    dc.BPT_Scheduled_DC_CLReqControlMode: (dc.BPT_Scheduled_DC_CLResControlMode, ""),
    dc.Dynamic_DC_CLReqControlMode: (dc.Dynamic_DC_CLResControlMode, _DC_CHARGE),
    dc.BPT_Dynamic_DC_CLReqControlMode: (dc.BPT_Dynamic_DC_CLResControlMode, _DC_BOTH),
    ac.Scheduled_AC_CLReqControlMode: (ac.Scheduled_AC_CLResControlMode, ""),
    ac.BPT_Scheduled_AC_CLReqControlMode: (ac.BPT_Scheduled_AC_CLResControlMode, ""),
    ac.Dynamic_AC_CLReqControlMode: (ac.Dynamic_AC_CLResControlMode, _AC_TARGET),
    ac.BPT_Dynamic_AC_CLReqControlMode: (
        ac.BPT_Dynamic_AC_CLResControlMode,
        _AC_TARGET,
    ),
}


def _mode(request: dc.DC_ChargeLoopReq | ac.AC_ChargeLoopReq) -> CLResControlMode:
    direct = isinstance(request, dc.DC_ChargeLoopReq)
    known = type(request.CLReqControlMode)
    if known not in _MODES or ("_DC_" in known.__name__) is not direct:
        known = (
            dc.Scheduled_DC_CLReqControlMode
            if direct
            else ac.Scheduled_AC_CLReqControlMode
        )
    kind, names = _MODES[known]
    return kind(**_zeros(names))


def _dc_loop() -> dict[str, Any]:
    return {
        **_zeros("EVSEPresentCurrent EVSEPresentVoltage"),
        "EVSEPowerLimitAchieved": False,
        "EVSECurrentLimitAchieved": False,
        "EVSEVoltageLimitAchieved": False,
    }


def _certificate() -> dict[str, Any]:
    chain = common.ContractCertificateChain(
        Certificate=b"", SubCertificates=common.SubCertificates(Certificate=[b""])
    )
    data = common.SignedInstallationData(
        Id="none",
        ContractCertificateChain=chain,
        ECDHCurve="SECP521",
        DHPublicKey=bytes(133),
        SECP521_EncryptedPrivateKey=bytes(94),
    )
    return {
        "EVSEProcessing": "Finished",
        "CPSCertificateChain": common.CertificateChain(Certificate=b""),
        "SignedInstallationData": data,
        "RemainingContractCertificateChains": 0,
    }


def _nothing() -> dict[str, Any]:
    return {}


_FILL: dict[str, tuple[type[V2GResponse], Callable[[], dict[str, Any]]]] = {
    "SessionSetupReq": (common.SessionSetupRes, lambda: {"EVSEID": ""}),
    "AuthorizationSetupReq": (
        common.AuthorizationSetupRes,
        lambda: {
            "AuthorizationServices": ["EIM"],
            "CertificateInstallationService": False,
            "EIM_ASResAuthorizationMode": common.EIM_ASResAuthorizationMode(),
        },
    ),
    "AuthorizationReq": (
        common.AuthorizationRes,
        lambda: {"EVSEProcessing": "Finished"},
    ),
    "ServiceDiscoveryReq": (common.ServiceDiscoveryRes, _services),
    "ServiceDetailReq": (common.ServiceDetailRes, _service_detail),
    "ServiceSelectionReq": (common.ServiceSelectionRes, _nothing),
    "DC_ChargeParameterDiscoveryReq": (
        dc.DC_ChargeParameterDiscoveryRes,
        _dc_parameters,
    ),
    "AC_ChargeParameterDiscoveryReq": (
        ac.AC_ChargeParameterDiscoveryRes,
        _ac_parameters,
    ),
    "ScheduleExchangeReq": (
        common.ScheduleExchangeRes,
        lambda: {
            "EVSEProcessing": "Finished",
            "Dynamic_SEResControlMode": common.Dynamic_SEResControlMode(),
        },
    ),
    "DC_CableCheckReq": (dc.DC_CableCheckRes, lambda: {"EVSEProcessing": "Finished"}),
    "DC_PreChargeReq": (dc.DC_PreChargeRes, lambda: _zeros("EVSEPresentVoltage")),
    "PowerDeliveryReq": (common.PowerDeliveryRes, _nothing),
    "DC_ChargeLoopReq": (dc.DC_ChargeLoopRes, _dc_loop),
    "AC_ChargeLoopReq": (ac.AC_ChargeLoopRes, _nothing),
    "DC_WeldingDetectionReq": (
        dc.DC_WeldingDetectionRes,
        lambda: _zeros("EVSEPresentVoltage"),
    ),
    "MeteringConfirmationReq": (common.MeteringConfirmationRes, _nothing),
    "SessionStopReq": (common.SessionStopRes, _nothing),
    "VehicleCheckInReq": (common.VehicleCheckInRes, _nothing),
    "VehicleCheckOutReq": (
        common.VehicleCheckOutRes,
        lambda: {"EVSECheckOutStatus": "Completed"},
    ),
    "CertificateInstallationReq": (common.CertificateInstallationRes, _certificate),
}

REQUESTS = frozenset(_FILL)


def failed(
    request: V2GRequest, code: ResponseCode, header: MessageHeader
) -> V2GResponse:
    """The answer of `request`'s own type. Raises V2gError if it has none."""
    name = type(request).__name__
    if name not in _FILL:
        raise V2gError(f"{name} has no answer in ISO 15118-20 AC and DC: close")
    response, fill = _FILL[name]
    values = fill()
    if isinstance(request, dc.DC_ChargeLoopReq | ac.AC_ChargeLoopReq):
        values["CLResControlMode"] = _mode(request)
    return response(Header=header, ResponseCode=code, **values)
