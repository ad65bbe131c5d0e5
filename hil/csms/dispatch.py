"""What a dispatcher does through a CSMS: setpoints, limits, questions, remote start.

Builds payloads with the field names of the 2.1 schemas (2.0.1 where it has them) and
sends them. Sign: positive = into the vehicle, negative = discharge.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hil.csms.answers import stamp
from hil.csms.link import Dynamic, Peer
from hil.csms.wire import CsmsError

SETPOINT_ID, DYNAMIC_ID, LIMIT_ID = 100, 200, 300  # profile id = this + EVSE
REMOTE_TOKEN = {"idToken": "REMOTE", "type": "Central"}


def transaction_of(peer: Peer, evse_id: int) -> str:
    """The id of the running transaction on an EVSE; CsmsError when there is none."""
    transaction = peer.ledger.active(evse_id)
    if transaction is None:
        raise CsmsError(f"EVSE {evse_id}: no running transaction for a TxProfile")
    return transaction.transaction_id


def profile(
    profile_id: int,
    schedule: dict[str, Any],
    *,
    purpose: str = "TxProfile",
    kind: str = "Absolute",
    stack_level: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """A ChargingProfile with one schedule; None in `more` leaves the field out."""
    fields = {
        "id": profile_id,
        "stackLevel": stack_level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [{"id": profile_id, "chargingRateUnit": "W", **schedule}],
    }
    return fields | {key: value for key, value in more.items() if value is not None}


def _absolute(period: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    """A schedule of one period from now on (K01.FR.40 wants startSchedule)."""
    schedule = {
        "startSchedule": stamp(datetime.now(UTC)),
        "chargingSchedulePeriod": [{"startPeriod": 0, **period}],
    }
    return schedule if seconds is None else {**schedule, "duration": round(seconds)}


def _present(**values: float | None) -> dict[str, float]:
    return {key: value for key, value in values.items() if value is not None}


async def set_profile(
    peer: Peer, evse_id: int, charging_profile: dict[str, Any]
) -> dict[str, Any]:
    """SetChargingProfile; the station's answer."""
    payload = {"evseId": evse_id, "chargingProfile": charging_profile}
    return await peer.call("SetChargingProfile", payload)


async def set_setpoint(
    peer: Peer,
    evse_id: int,
    power_w: float,
    seconds: float | None = None,
    *,
    mode: str = "CentralSetpoint",
    limit_w: float | None = None,
    discharge_limit_w: float | None = None,
    stack_level: int = 0,
    transaction_id: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A TxProfile with a setpoint for the running transaction (Q03); 2.1 only.

    Q03.FR.02 of edition 1 forbids the limits beside a CentralSetpoint, its table 95
    allows them: they are sent only where given. `more` goes into the profile.
    """
    _needs_21(peer, "a setpoint")
    period = {
        "operationMode": mode,
        "setpoint": power_w,
        **_present(limit=limit_w, dischargeLimit=discharge_limit_w),
    }
    wanted = profile(
        SETPOINT_ID + evse_id,
        _absolute(period, seconds),
        stack_level=stack_level,
        transactionId=transaction_id or transaction_of(peer, evse_id),
        **more,
    )
    return await set_profile(peer, evse_id, wanted)


async def dynamic_setpoint(
    peer: Peer,
    evse_id: int,
    power_w: float,
    *,
    seconds: float | None = None,
    pull_s: int | None = None,
    mode: str = "CentralSetpoint",
    stack_level: int = 1,
) -> dict[str, Any]:
    """The first time a Dynamic TxProfile (K28), then UpdateDynamicSchedule; 2.1 only.

    `seconds` is the duration, counted again from every update (a dead-man); `pull_s`
    makes the station ask by itself (dynUpdateInterval).
    """
    _needs_21(peer, "a Dynamic profile")
    transaction_id = transaction_of(peer, evse_id)
    known = peer.dynamic.get(evse_id)
    if known is not None and known.transaction_id == transaction_id:
        known.values["setpoint"] = power_w
        return await update_dynamic(peer, known.profile_id, known.values)
    new = Dynamic(DYNAMIC_ID + evse_id, transaction_id, {"setpoint": power_w})
    period = {"startPeriod": 0, "operationMode": mode, "setpoint": power_w}
    schedule: dict[str, Any] = {"chargingSchedulePeriod": [period]}
    if seconds is not None:
        schedule["duration"] = round(seconds)
    wanted = profile(
        new.profile_id,
        schedule,
        kind="Dynamic",
        stack_level=stack_level,
        transactionId=transaction_id,
        dynUpdateInterval=pull_s,
    )
    peer.dynamic[evse_id] = new
    answer = await set_profile(peer, evse_id, wanted)
    if answer["status"] != "Accepted":
        del peer.dynamic[evse_id]
    return answer


async def update_dynamic(
    peer: Peer, profile_id: int, values: Mapping[str, float]
) -> dict[str, Any]:
    """UpdateDynamicSchedule with limit, dischargeLimit, setpoint... (K28.FR.06)."""
    payload = {"chargingProfileId": profile_id, "scheduleUpdate": dict(values)}
    return await peer.call("UpdateDynamicSchedule", payload)


async def charging_only(
    peer: Peer,
    evse_id: int,
    limit_w: float,
    seconds: float | None = None,
    *,
    purpose: str = "TxProfile",
    stack_level: int = 2,
) -> dict[str, Any]:
    """A charge limit and no V2X; in 2.0.1 any limit is that. EVSE 0 = the station."""
    period: dict[str, Any] = {"limit": limit_w}
    if peer.version == "ocpp2.1":
        period["operationMode"] = "ChargingOnly"
    of_transaction = purpose == "TxProfile"
    wanted = profile(
        LIMIT_ID + evse_id,
        _absolute(period, seconds),
        purpose=purpose,
        stack_level=stack_level,
        transactionId=transaction_of(peer, evse_id) if of_transaction else None,
    )
    return await set_profile(peer, evse_id, wanted)


async def clear_profiles(
    peer: Peer,
    profile_id: int | None = None,
    *,
    evse_id: int | None = None,
    purpose: str | None = None,
) -> dict[str, Any]:
    """ClearChargingProfile by id, or by EVSE and purpose; nothing given = all."""
    payload: dict[str, Any] = {}
    criteria = {"evseId": evse_id, "chargingProfilePurpose": purpose}
    given = {key: value for key, value in criteria.items() if value is not None}
    if profile_id is not None:
        payload["chargingProfileId"] = profile_id
    elif given:
        payload["chargingProfileCriteria"] = given
    for known_on, dynamic in list(peer.dynamic.items()):
        if profile_id in (None, dynamic.profile_id) and evse_id in (None, known_on):
            del peer.dynamic[known_on]
    return await peer.call("ClearChargingProfile", payload)


async def composite(
    peer: Peer, evse_id: int, seconds: int, unit: str = "W"
) -> dict[str, Any]:
    """GetCompositeSchedule; the answer with its schedule."""
    payload = {"evseId": evse_id, "duration": seconds, "chargingRateUnit": unit}
    return await peer.call("GetCompositeSchedule", payload)


def _variable(name: str, evse_id: int | None) -> dict[str, Any]:
    """ "Component.Variable" or "Component.Variable[instance]" as OCPP wants it."""
    component, dot, variable = name.partition(".")
    variable, bracket, instance = variable.partition("[")
    if not dot:
        raise CsmsError(f"{name!r}: write Component.Variable or Component.Variable[x]")
    at: dict[str, Any] = {"name": component}
    if evse_id is not None:
        at["evse"] = {"id": evse_id}
    what = {"name": variable}
    if bracket:
        what["instance"] = instance.rstrip("]")
    return {"component": at, "variable": what}


async def get_variables(
    peer: Peer, *names: str, evse_id: int | None = None
) -> dict[str, str | None]:
    """Values by name; None where the station did not answer Accepted."""
    data = [_variable(name, evse_id) for name in names]
    answer = await peer.call("GetVariables", {"getVariableData": data})
    results = answer["getVariableResult"]
    if len(results) != len(names):
        raise CsmsError(f"asked for {len(names)} variables, got {len(results)}")
    accepted = [result["attributeStatus"] == "Accepted" for result in results]
    return {
        name: result.get("attributeValue", "") if good else None
        for name, result, good in zip(names, results, accepted, strict=True)
    }


async def set_variables(
    peer: Peer, values: Mapping[str, str], *, evse_id: int | None = None
) -> dict[str, str]:
    """attributeStatus by name."""
    data = [
        {"attributeValue": value, **_variable(name, evse_id)}
        for name, value in values.items()
    ]
    answer = await peer.call("SetVariables", {"setVariableData": data})
    results = answer["setVariableResult"]
    if len(results) != len(values):
        raise CsmsError(f"set {len(values)} variables, got {len(results)} results")
    statuses = [str(result["attributeStatus"]) for result in results]
    return dict(zip(values, statuses, strict=True))


async def remote_start(
    peer: Peer,
    evse_id: int,
    id_token: Mapping[str, Any] | None = None,
    *,
    remote_start_id: int = 1,
    charging_profile: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """RequestStartTransaction (F01, F02)."""
    payload: dict[str, Any] = {
        "evseId": evse_id,
        "remoteStartId": remote_start_id,
        "idToken": dict(id_token or REMOTE_TOKEN),
    }
    if charging_profile is not None:
        payload["chargingProfile"] = charging_profile
    return await peer.call("RequestStartTransaction", payload)


async def remote_stop(peer: Peer, transaction_id: str) -> dict[str, Any]:
    """RequestStopTransaction (F03)."""
    payload = {"transactionId": transaction_id}
    return await peer.call("RequestStopTransaction", payload)


def _needs_21(peer: Peer, what: str) -> None:
    if peer.version != "ocpp2.1":
        raise CsmsError(f"{what} needs ocpp2.1; {peer.identity} speaks {peer.version}")
