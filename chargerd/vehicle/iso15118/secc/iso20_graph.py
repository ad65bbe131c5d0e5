"""The order of an ISO 15118-20 session: states, and which request may come in which.

Owns the ordering graph and nothing else. SessionStop may come in every state; what it
may ask for there is iso20_steps.py's matter. While a schedule is renegotiated on a side
stream, the loop goes on on the main one.
"""

from __future__ import annotations

from chargerd.vehicle.iso15118.secc.flow import Graph

SETUP = "setup"
AUTHORIZATION_SETUP = "authorization_setup"
JOINED = "joined"  # an old session was resumed
AUTHORIZATION = "authorization"
SERVICE_DISCOVERY = "service_discovery"
SERVICE_DETAIL = "service_detail"
PARAMETERS_DC = "parameters_dc"
PARAMETERS_AC = "parameters_ac"
SCHEDULE_DC = "schedule_dc"
SCHEDULE_AC = "schedule_ac"
CABLE_CHECK = "cable_check"
PRE_CHARGE_FIRST = "pre_charge_first"  # the cable check has passed
PRE_CHARGE = "pre_charge"
READY_AC = "ready_ac"  # the schedule is agreed
STARTED_DC = "started_dc"  # PowerDelivery(Start) answered, no loop message yet
STARTED_AC = "started_ac"
LOOP_DC = "loop_dc"
LOOP_AC = "loop_ac"
RESCHEDULE_DC = "reschedule_dc"  # ScheduleRenegotiation: the contactor stays closed
RESCHEDULE_AC = "reschedule_ac"
RESTART_DC = "restart_dc"  # the new schedule is agreed
RESTART_AC = "restart_ac"
WELDING = "welding"
STOPPED = "stopped"  # energy is over: SessionStop is due
FAILED = "failed"  # a FAILED was answered: only SessionStop
ENDED = "ended"

LOOPS = frozenset({LOOP_DC, LOOP_AC})
RESCHEDULES = frozenset({RESCHEDULE_DC, RESCHEDULE_AC})
RESTARTS = frozenset({RESTART_DC, RESTART_AC})
STARTED = frozenset({STARTED_DC, STARTED_AC, *LOOPS})
NOT_TO_START = frozenset({CABLE_CHECK, PRE_CHARGE_FIRST, *RESCHEDULES})
# No pause while the cable is live or about to be (hupe1980/iso15118, sessions.md).
LIVE = frozenset(
    {CABLE_CHECK, PRE_CHARGE_FIRST, PRE_CHARGE, *RESCHEDULES, *RESTARTS, *STARTED}
)
# The power path should be up here: its end is the session's, too.
POWER = LIVE | {READY_AC}
# A service has been selected before: it may be selected anew.
SELECTED = frozenset(
    {PARAMETERS_DC, PARAMETERS_AC, SCHEDULE_DC, SCHEDULE_AC, WELDING, STOPPED}
)

_DC_DELIVERY = (STARTED_DC, PRE_CHARGE, WELDING)
_STOPS = {"SessionStopReq": (ENDED, SERVICE_DISCOVERY)}

_ROWS: dict[str, dict[str, tuple[str, ...]]] = {
    SETUP: {"SessionSetupReq": (AUTHORIZATION_SETUP, JOINED)},
    AUTHORIZATION_SETUP: {"AuthorizationSetupReq": (AUTHORIZATION,)},
    # It goes on with the old services (OCC, libiso15118), or chooses anew.
    JOINED: {
        "AuthorizationSetupReq": (AUTHORIZATION,),
        "ServiceDiscoveryReq": (SERVICE_DETAIL,),
        "DC_ChargeParameterDiscoveryReq": (SCHEDULE_DC,),
        "AC_ChargeParameterDiscoveryReq": (SCHEDULE_AC,),
    },
    # A new setup brings a new challenge.
    AUTHORIZATION: {
        "AuthorizationReq": (AUTHORIZATION, SERVICE_DISCOVERY),
        "AuthorizationSetupReq": (AUTHORIZATION,),
        "CertificateInstallationReq": (AUTHORIZATION,),
    },
    SERVICE_DISCOVERY: {"ServiceDiscoveryReq": (SERVICE_DETAIL,)},
    SERVICE_DETAIL: {
        "ServiceDetailReq": (SERVICE_DETAIL,),
        "ServiceSelectionReq": (PARAMETERS_DC, PARAMETERS_AC),
    },
    PARAMETERS_DC: {
        "DC_ChargeParameterDiscoveryReq": (SCHEDULE_DC,),
        "VehicleCheckInReq": (PARAMETERS_DC,),
    },
    PARAMETERS_AC: {
        "AC_ChargeParameterDiscoveryReq": (SCHEDULE_AC,),
        "VehicleCheckInReq": (PARAMETERS_AC,),
    },
    SCHEDULE_DC: {"ScheduleExchangeReq": (CABLE_CHECK, SCHEDULE_DC)},
    SCHEDULE_AC: {"ScheduleExchangeReq": (READY_AC, SCHEDULE_AC)},
    # A vehicle may give up here [V2G20-2122]; it cannot start.
    CABLE_CHECK: {
        "DC_CableCheckReq": (CABLE_CHECK, PRE_CHARGE_FIRST),
        "PowerDeliveryReq": (WELDING, CABLE_CHECK),
    },
    PRE_CHARGE_FIRST: {
        "DC_PreChargeReq": (PRE_CHARGE,),
        "PowerDeliveryReq": (WELDING, PRE_CHARGE_FIRST),
    },
    PRE_CHARGE: {
        "DC_PreChargeReq": (PRE_CHARGE,),
        "PowerDeliveryReq": _DC_DELIVERY,
    },
    READY_AC: {"PowerDeliveryReq": (STARTED_AC, READY_AC, STOPPED)},
    STARTED_DC: {
        "DC_ChargeLoopReq": (LOOP_DC, STARTED_DC),
        "PowerDeliveryReq": (WELDING, STARTED_DC, RESCHEDULE_DC),
    },
    STARTED_AC: {
        "AC_ChargeLoopReq": (LOOP_AC, STARTED_AC),
        "PowerDeliveryReq": (STOPPED, STARTED_AC, RESCHEDULE_AC),
    },
    LOOP_DC: {
        "DC_ChargeLoopReq": (LOOP_DC,),
        "PowerDeliveryReq": (WELDING, STARTED_DC, LOOP_DC, RESCHEDULE_DC),
    },
    LOOP_AC: {
        "AC_ChargeLoopReq": (LOOP_AC,),
        "PowerDeliveryReq": (STOPPED, STARTED_AC, LOOP_AC, RESCHEDULE_AC),
    },
    RESCHEDULE_DC: {
        "DC_ChargeLoopReq": (RESCHEDULE_DC,),
        "DC_ChargeParameterDiscoveryReq": (RESCHEDULE_DC,),
        "ScheduleExchangeReq": (RESTART_DC, RESCHEDULE_DC),
        "PowerDeliveryReq": (WELDING, RESCHEDULE_DC),
    },
    RESCHEDULE_AC: {
        "AC_ChargeLoopReq": (RESCHEDULE_AC,),
        "AC_ChargeParameterDiscoveryReq": (RESCHEDULE_AC,),
        "ScheduleExchangeReq": (RESTART_AC, RESCHEDULE_AC),
        "PowerDeliveryReq": (STOPPED, RESCHEDULE_AC),
    },
    RESTART_DC: {
        "DC_ChargeLoopReq": (RESTART_DC,),
        "PowerDeliveryReq": (STARTED_DC, RESTART_DC, WELDING),
    },
    RESTART_AC: {
        "AC_ChargeLoopReq": (RESTART_AC,),
        "PowerDeliveryReq": (STARTED_AC, RESTART_AC, STOPPED),
    },
    WELDING: {"DC_WeldingDetectionReq": (WELDING, STOPPED)},
    STOPPED: {"DC_WeldingDetectionReq": (STOPPED,), "VehicleCheckOutReq": (STOPPED,)},
}
# A confirmation comes when the vehicle has signed it: on the main or on a side stream.
_CONFIRMS = (*STARTED, *RESCHEDULES, *RESTARTS, WELDING, STOPPED)

_ALL = {state: {**row, **_STOPS} for state, row in _ROWS.items()}
for _state in _CONFIRMS:
    _ALL[_state]["MeteringConfirmationReq"] = (_state,)
_ALL[FAILED] = {"SessionStopReq": (ENDED,)}

GRAPH = Graph(SETUP, _ALL)
