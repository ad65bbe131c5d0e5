"""2.0.1 on the same code: 2.1 payloads reduced to what the 2.0.1 schemas know.

Owns the differences between the two versions and nothing else. Every function is pure
and idempotent: what is already 2.0.1 comes back equal, so a message queued under 2.1
may be reduced when it leaves on a 2.0.1 link. 2.0.1 payloads are valid 2.1.
"""

from __future__ import annotations

from collections.abc import Callable

from chargerd.ocpp.effects import Payload

V21 = "ocpp2.1"
V201 = "ocpp2.0.1"

ONLY_21 = frozenset(
    {
        "AFRRSignal",
        "AdjustPeriodicEventStream",
        "ChangeTransactionTariff",
        "ClearDERControl",
        "ClearTariffs",
        "ClosePeriodicEventStream",
        "GetCertificateChainStatus",
        "GetDERControl",
        "GetPeriodicEventStream",
        "GetTariffs",
        "NotifyAllowedEnergyTransfer",
        "NotifyDERAlarm",
        "NotifyDERStartStop",
        "OpenPeriodicEventStream",
        "ReportDERControl",
        "SetDERControl",
        "SetDefaultTariff",
        "NotifyPriorityCharging",
        "NotifySettlement",
        "NotifyWebPaymentStarted",
        "UpdateDynamicSchedule",
        "UsePriorityCharging",
        "VatNumberValidation",
        "PullDynamicScheduleUpdate",
    }
)

_TOKEN_KINDS = frozenset(
    {
        "Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress",
        "NoAuthorization",
    }
)  # fmt: skip
_TRIGGERS = {  # 2.1 TriggerReasonEnumType values that 2.0.1 lacks
    "CostLimitReached": "EnergyLimitReached",
    "LimitSet": "Trigger",
    "OperationModeChanged": "ChargingRateChanged",
    "RunningCost": "Trigger",
    "SoCLimitReached": "EnergyLimitReached",
    "TariffChanged": "Trigger",
    "TariffNotAccepted": "Deauthorized",
    "TxResumed": "Trigger",
}
_MEASURANDS_201 = (
    "Current.Export", "Current.Import", "Energy.Active.Export.Interval",
    "Energy.Active.Export.Register", "Energy.Active.Import.Interval",
    "Energy.Active.Import.Register", "Energy.Active.Net",
    "Energy.Reactive.Export.Interval", "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Interval", "Energy.Reactive.Import.Register",
    "Energy.Reactive.Net", "Frequency", "Power.Active.Export", "Power.Active.Import",
    "Power.Factor", "Power.Offered", "Power.Reactive.Export", "Power.Reactive.Import",
    "SoC", "Voltage",
)  # fmt: skip
_SIGNED_201 = 2500  # characters that its signedMeterData and publicKey may have
_PROFILE_21 = (
    "maxOfflineDuration", "invalidAfterOfflineDuration", "dynUpdateInterval",
    "dynUpdateTime", "priceScheduleSignature",
)  # fmt: skip
_SCHEDULE_201 = frozenset(
    {
        "id", "startSchedule", "duration", "chargingRateUnit", "chargingSchedulePeriod",
        "minChargingRate", "salesTariff",
    }
)  # fmt: skip
_NEEDS_201 = frozenset(
    {
        "requestedEnergyTransfer", "departureTime", "acChargingParameters",
        "dcChargingParameters",
    }
)  # fmt: skip
_ENERGIES_201 = ("DC", "AC_single_phase", "AC_two_phase", "AC_three_phase")
_EV_SCHEDULE_201 = ("timeBase", "evseId", "chargingSchedule")
_PERIOD_201 = ("startPeriod", "limit", "numberPhases", "phaseToUse")


def outgoing(version: str, action: str, payload: Payload) -> Payload | None:
    """The CALL as `version` wants it; None where that version has no such message."""
    if version != V201:
        return payload
    if action in ONLY_21:
        return None
    reduce = _REDUCERS.get(action)
    return reduce(payload) if reduce else payload


def reduced_answer(version: str, action: str, answer: Payload) -> Payload:
    """Our answer to a CALL as `version` wants it."""
    if version == V201 and action == "GetCompositeSchedule" and "schedule" in answer:
        schedule = dict(answer["schedule"])
        schedule["chargingSchedulePeriod"] = _periods(
            schedule["chargingSchedulePeriod"]
        )
        return {**answer, "schedule": schedule}
    if version == V201 and action == "GetInstalledCertificateIds":
        return _installed(answer)
    return answer


def _without_info(payload: Payload) -> Payload:
    return {k: v for k, v in payload.items() if k != "statusInfo"}


def _sign_certificate(payload: Payload) -> Payload | None:
    if payload["certificateType"] == "V2G20Certificate":
        return None
    return {name: payload[name] for name in ("csr", "certificateType")}


def _installed(answer: Payload) -> Payload:
    """Without the roots of vehicles, a kind that 2.0.1 does not know."""
    chains = [
        chain
        for chain in answer.get("certificateHashDataChain", [])
        if chain["certificateType"] != "OEMRootCertificate"
    ]
    if not chains:
        return {"status": "NotFound"}
    return {**answer, "certificateHashDataChain": chains}


def token_201(token: Payload) -> Payload:
    """An IdTokenType, or none, whose type 2.0.1 knows."""
    if token.get("type", "Central") in _TOKEN_KINDS:
        return token
    return {**token, "idToken": token["idToken"][:36], "type": "Central"}


def _reservation(payload: Payload) -> Payload | None:
    only_21 = payload["reservationUpdateStatus"] == "NoTransaction"
    return None if only_21 else payload


def _transaction_event(payload: Payload) -> Payload | None:
    out = {
        k: v
        for k, v in payload.items()
        if k not in ("costDetails", "preconditioningStatus", "evseSleep", "meterValue")
    }
    out["triggerReason"] = _TRIGGERS.get(out["triggerReason"], out["triggerReason"])
    info = {
        k: v
        for k, v in out["transactionInfo"].items()
        if k not in ("operationMode", "tariffId", "transactionLimit")
    }
    if info.get("stoppedReason") == "ReqEnergyTransferRejected":
        info["stoppedReason"] = "Other"
    out["transactionInfo"] = info
    if "idToken" in out:
        out["idToken"] = token_201(out["idToken"])
    values = _meter_values(payload.get("meterValue", ()))
    if values:
        out["meterValue"] = values
    return out


def _meter_values(values: list[Payload]) -> list[Payload]:
    kept = []
    for value in values:
        samples = [
            _sample(sample)
            for sample in value["sampledValue"]
            if sample["measurand"] in _MEASURANDS_201
        ]
        if samples:
            kept.append({**value, "sampledValue": samples})
    return kept


def _sample(sample: Payload) -> Payload:
    """2.0.1 wants method and key with a signature; a longer text it cannot carry."""
    signed = sample.get("signedMeterValue")
    if signed is None:
        return sample
    full = {"signingMethod": "", "publicKey": "", **signed}
    if max(len(full[n]) for n in ("signedMeterData", "publicKey")) > _SIGNED_201:
        return {k: v for k, v in sample.items() if k != "signedMeterValue"}
    return {**sample, "signedMeterValue": full}


def _meter_message(payload: Payload) -> Payload | None:
    values = _meter_values(payload["meterValue"])
    return {**payload, "meterValue": values} if values else None


def _notify_event(payload: Payload) -> Payload:
    events = [
        {k: v for k, v in event.items() if k != "severity"}
        for event in payload["eventData"]
    ]
    return {**payload, "eventData": events}


def _monitors(payload: Payload) -> Payload:
    """Without the types that only 2.1 has; a part may be empty then."""
    rows = []
    for row in payload.get("monitor", ()):
        kept = [
            {k: v for k, v in monitor.items() if k != "eventNotificationType"}
            for monitor in row["variableMonitoring"]
            if not monitor["type"].startswith("TargetDelta")
        ]
        if kept:
            rows.append({**row, "variableMonitoring": kept})
    out = {k: v for k, v in payload.items() if k != "monitor"}
    return {**out, "monitor": rows} if rows else out


def _notify_report(payload: Payload) -> Payload:
    if "reportData" not in payload:
        return payload
    rows = []
    for row in payload["reportData"]:
        traits = row.get("variableCharacteristics", {})
        traits = {k: v for k, v in traits.items() if k != "maxElements"}
        rows.append({**row, "variableCharacteristics": traits} if traits else row)
    return {**payload, "reportData": rows}


def _authorize(payload: Payload) -> Payload:
    return {**payload, "idToken": token_201(payload["idToken"])}


def _ev_certificate(payload: Payload) -> Payload:
    only_21 = ("maximumContractCertificateChains", "prioritizedEMAIDs")
    return {k: v for k, v in payload.items() if k not in only_21}


def _display_messages(payload: Payload) -> Payload:
    """What 2.0.1 can say of them; a message in a format of 2.1 is left out."""
    kept = [
        {k: v for k, v in info.items() if k != "messageExtra"}
        for info in payload.get("messageInfo", ())
        if info["message"]["format"] != "QRCODE"
        and info.get("state") not in ("Suspended", "Discharging")
    ]
    rest = {k: v for k, v in payload.items() if k != "messageInfo"}
    return {**rest, "messageInfo": kept} if kept else rest


def _report_profiles(payload: Payload) -> Payload | None:
    kept = [p for p in map(_profile, payload["chargingProfile"]) if p is not None]
    return {**payload, "chargingProfile": kept} if kept else None


def _charging_limit(payload: Payload) -> Payload | None:
    """Without the field that says so, generation would be read as a limit."""
    if payload["chargingLimit"].get("isLocalGeneration"):
        return None
    out = dict(payload)
    if "chargingSchedule" in out:
        out["chargingSchedule"] = [_schedule(row) for row in out["chargingSchedule"]]
    return out


def _needs(payload: Payload) -> Payload | None:
    """None where only 2.1 has the fields for what the vehicle said."""
    needs = payload["chargingNeeds"]
    kept = {k: v for k, v in needs.items() if k in _NEEDS_201}
    known = {"acChargingParameters", "dcChargingParameters"} & kept.keys()
    if not known or kept["requestedEnergyTransfer"] not in _ENERGIES_201:
        return None
    out = {k: v for k, v in payload.items() if k != "timestamp"}
    return {**out, "chargingNeeds": kept}


def _ev_schedule(payload: Payload) -> Payload:
    out = {k: v for k, v in payload.items() if k in _EV_SCHEDULE_201}
    return {**out, "chargingSchedule": _schedule(payload["chargingSchedule"])}


def known_201(profile: Payload) -> bool:
    """True when a 2.0.1 CSMS can be told about this profile."""
    return profile["chargingProfileKind"] != "Dynamic" and profile[
        "chargingProfilePurpose"
    ] not in ("PriorityCharging", "LocalGeneration")


def _profile(profile: Payload) -> Payload | None:
    """The profile without what 2.0.1 lacks; None when nothing true is left of it."""
    if not known_201(profile):
        return None
    schedules = [_schedule(schedule) for schedule in profile["chargingSchedule"]]
    out = {k: v for k, v in profile.items() if k not in _PROFILE_21}
    return {**out, "chargingSchedule": schedules}


def _schedule(schedule: Payload) -> Payload:
    kept = {k: v for k, v in schedule.items() if k in _SCHEDULE_201}
    kept["chargingSchedulePeriod"] = _periods(schedule["chargingSchedulePeriod"])
    return kept


def _periods(periods: list[Payload]) -> list[Payload]:
    """Each with a limit, which 2.0.1 requires: a setpoint shows as what it charges."""
    kept = []
    for period in periods:
        out = {k: period[k] for k in _PERIOD_201 if k in period}
        limit = period.get("limit", NO_LIMIT)
        wish = period.get("setpoint", limit)
        out["limit"] = max(0.0, min(limit, wish))
        if "operationMode" in period and period["operationMode"] == "Idle":
            out["limit"] = 0.0
        kept.append(out)
    return kept


NO_LIMIT = 2_000_000.0  # W, the largest rating the configuration takes


_REDUCERS: dict[str, Callable[[Payload], Payload | None]] = {
    "Authorize": _authorize,
    "Get15118EVCertificate": _ev_certificate,
    "FirmwareStatusNotification": _without_info,
    "LogStatusNotification": _without_info,
    "MeterValues": _meter_message,
    "NotifyChargingLimit": _charging_limit,
    "NotifyDisplayMessages": _display_messages,
    "NotifyEVChargingNeeds": _needs,
    "NotifyEVChargingSchedule": _ev_schedule,
    "NotifyEvent": _notify_event,
    "NotifyMonitoringReport": _monitors,
    "NotifyReport": _notify_report,
    "ReportChargingProfiles": _report_profiles,
    "ReservationStatusUpdate": _reservation,
    "SignCertificate": _sign_certificate,
    "TransactionEvent": _transaction_event,
}
