"""When a transaction starts and ends, and why: pure tables of block E.

Owns TxStartPoint and TxStopPoint (part 2, 2.7.6), chargingState, triggerReason and
stoppedReason. Sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from chargerd.model import Session, SessionPhase, StopReason

_CHARGING_STATE = {
    SessionPhase.IDLE: "Idle",
    SessionPhase.ENERGY: "Charging",
    SessionPhase.SUSPENDED_EV: "SuspendedEV",
    SessionPhase.SUSPENDED_EVSE: "SuspendedEVSE",
}
_END_TRIGGER = {
    StopReason.LOCAL: "StopAuthorized",
    StopReason.MASTER_PASS: "StopAuthorized",
    StopReason.REMOTE: "RemoteStop",
    StopReason.EV_DISCONNECTED: "EVCommunicationLost",
    StopReason.STOPPED_BY_EV: "StopAuthorized",  # E15.FR.04
    StopReason.DEAUTHORIZED: "Deauthorized",
    StopReason.TIMEOUT: "EVConnectTimeout",
    StopReason.IMMEDIATE_RESET: "ResetCommand",
    StopReason.REBOOT: "ResetCommand",
}

_ASKED = (StopReason.LOCAL, StopReason.MASTER_PASS, StopReason.REMOTE)


@dataclass(frozen=True, slots=True)
class Points:
    """Which points of 2.7.6 hold now. The names are the OCPP values."""

    connected: bool = False  # EVConnected
    authorised: bool = False  # Authorized
    energy: bool = False  # EnergyTransfer

    def holding(self) -> frozenset[str]:
        names = set()
        if self.connected:
            names.add("EVConnected")
        if self.authorised:
            names.add("Authorized")
        if self.connected and self.authorised:
            names.add("PowerPathClosed")
        if self.energy:
            names.add("EnergyTransfer")
        return frozenset(names)


def points_of(session: Session, before: frozenset[str] = frozenset()) -> Points:
    """While STOPPING all still holds: Ended carries the registers after the last Wh.
    Energy that vehicle or station suspend is no transfer (2.7.6.2)."""
    phase = session.phase
    winding_up = phase is SessionPhase.STOPPING and "EnergyTransfer" in before
    over = phase is SessionPhase.FINISHED
    unplugged = over and session.stop_reason is StopReason.EV_DISCONNECTED
    return Points(
        connected=phase is not SessionPhase.IDLE and not unplugged,
        authorised=session.authorised and not over,
        energy=phase is SessionPhase.ENERGY or winding_up,
    )


def charging_state(
    session: Session, before: str = "", *, suspended: bool = False, resumed: str = ""
) -> str:
    """While STOPPING power still ramps: the state is the one it had before. With
    `suspended` the CSMS, or a limit, permits no energy: the heart follows in a moment.
    `resumed`: the state it goes back to after an interruption (E17).
    """
    if session.stop_reason is StopReason.EV_DISCONNECTED:
        return "Idle"
    if session.phase is SessionPhase.STOPPING and before:
        return before
    if resumed and session.phase is SessionPhase.STARTING:
        return resumed
    if suspended and session.phase in (SessionPhase.STARTING, SessionPhase.ENERGY):
        return "SuspendedEVSE"
    return _CHARGING_STATE.get(session.phase, "EVConnected")


def start_trigger(
    risen: frozenset[str], session: Session, start_points: frozenset[str]
) -> str:
    """triggerReason of Started: the event that started it (E01, E02, E03). Where two
    came at once, the one that is a start point by itself. A remote start is told
    whatever came after it (F01.FR.19, F02.FR.21)."""
    if session.authorised and session.remote_start_id is not None:
        return "RemoteStart"
    named = risen & start_points & {"EVConnected", "Authorized"}
    triggers = happened(named or risen, session)
    return triggers[-1] if triggers else "ChargingStateChanged"


def happened(risen: frozenset[str], session: Session) -> list[str]:
    """triggerReason of each thing that happened, an event for each (E03.FR.12)."""
    triggers = []
    if "EVConnected" in risen:
        triggers.append("CablePluggedIn")
    if "Authorized" in risen:
        remote = session.remote_start_id is not None
        triggers.append("RemoteStart" if remote else "Authorized")
    return triggers


def is_lost(session: Session, before: Session | None) -> bool:
    """Unplugged while it is kept for the vehicle's return (E10)."""
    was_there = before is not None and before.phase is not SessionPhase.IDLE
    return was_there and session.phase is SessionPhase.IDLE and bool(session.id)


def stop_trigger(reason: StopReason) -> str:
    """triggerReason of the event that tells of a stop."""
    return _END_TRIGGER.get(reason, "AbnormalCondition")


def told_before_end(reason: StopReason, stop_points: frozenset[str]) -> bool:
    """A stop that does not end the transaction at once is an event of its own.

    One that somebody asked for ends at the end of the energy only after that event;
    Deauthorized (E05.FR.10) and faults go into Ended.
    """
    if reason is StopReason.EV_DISCONNECTED:
        return False
    enders = {"Authorized", "PowerPathClosed"}
    if reason not in _ASKED:
        enders.add("EnergyTransfer")
    return not stop_points & enders


def end_cause(
    session: Session,
    last_reason: StopReason | None,
    fallen: frozenset[str],
) -> tuple[str, StopReason]:
    """triggerReason and stoppedReason of Ended (E06.FR.08, .15, .16).

    `fallen`: the stop points that hold no longer. The trigger is the event that ended
    the transaction, the reason why it had to end: they differ when a driver stops and
    the plug, or the end of the energy, is what the transaction waits for.
    """
    reason = session.stop_reason or last_reason
    if reason is None:
        reason = _UNTOLD.get(session.phase, StopReason.OTHER)
    if fallen == {"EVConnected"}:
        return "EVCommunicationLost", reason
    if fallen == {"EnergyTransfer"} and (
        reason in _ASKED or session.stop_reason is None
    ):
        return "ChargingStateChanged", reason
    return stop_trigger(reason), reason


_UNTOLD = {  # what ended a transaction when nobody has said it
    SessionPhase.IDLE: StopReason.EV_DISCONNECTED,
    SessionPhase.SUSPENDED_EV: StopReason.STOPPED_BY_EV,
}


def interrupted_reason(boot_reason: str) -> tuple[str, str]:
    """triggerReason and stoppedReason of a transaction that a restart cut off.

    A watchdog, a crash or an update of our software is a Reboot; only a start that came
    with the power is a PowerLoss.
    """
    if boot_reason == "PowerUp":
        return "AbnormalCondition", StopReason.POWER_LOSS.value
    if boot_reason in ("RemoteReset", "ScheduledReset", "LocalReset"):
        return "ResetCommand", StopReason.REBOOT.value
    if boot_reason == "Unknown":
        return "AbnormalCondition", StopReason.OTHER.value
    return "AbnormalCondition", StopReason.REBOOT.value
