"""May this monitor be set (N04)? From a SetMonitoringDataType to a Monitor.

Pure: asks the device model, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from chargerd.ocpp.blocks.monitor import (
    HARD,
    NUMERIC,
    PERIODIC,
    THRESHOLDS,
    Monitor,
    Stream,
)
from chargerd.ocpp.device_model import DeviceModel
from chargerd.ocpp.effects import Payload
from chargerd.ocpp.variable import Refused, Variable

MOST_SEVERE, LEAST_SEVERE = 0, 9
SHORTEST_STREAM_S = 0.1  # between values of a stream
MOST_VALUES = 1000  # of a stream's message


def read(
    model: DeviceModel, data: Payload, known: dict[int, Monitor]
) -> Monitor | Refused:
    """The monitor with its id, 0 = a new one."""
    found = model.find(data)
    if isinstance(found, Refused):
        return found
    stream = data.get("periodicEventStream")
    monitor = Monitor(
        data.get("id", 0),
        found,
        data["type"],
        float(data["value"]),
        data["severity"],
        data.get("transaction", False),
        stream=None if stream is None else read_stream(stream),
    )
    if "id" in data:
        refused = _replaces(known.get(data["id"]), found)
        if refused is not None:
            return refused
    return fits(monitor) or _duplicate(monitor, known.values()) or monitor


def read_stream(params: Payload) -> Stream:
    return Stream(params.get("interval", 0), params.get("values", 0))


def fits(monitor: Monitor) -> Refused | None:
    """Whether type, value, severity and stream suit the variable."""
    row = monitor.variable.row
    if not row.monitored or not _type_fits(monitor.kind, monitor.variable):
        text = f"{row.variable} cannot be watched by {monitor.kind}"
        return Refused("UnsupportedMonitorType", "UnsupportedParam", text)
    if not MOST_SEVERE <= monitor.severity <= LEAST_SEVERE:
        return _rejected("InvalidValue", "a severity is 0 to 9")
    return _value(monitor) or _stream(monitor)


def _type_fits(kind: str, variable: Variable) -> bool:
    if kind in PERIODIC or kind == "Delta":
        return True
    numeric = variable.row.kind in NUMERIC
    return numeric and (not kind.startswith("Target") or "Target" in variable.values)


def _value(monitor: Monitor) -> Refused | None:
    value, variable = monitor.value, monitor.variable
    if monitor.kind in ("UpperThreshold", "LowerThreshold"):  # N04.FR.06
        if variable.low is not None and value < variable.low:
            return _rejected("ValueTooLow", f"at least {variable.low:g}")
        if variable.high is not None and value > variable.high:
            return _rejected("ValueTooHigh", f"at most {variable.high:g}")
    elif monitor.kind in THRESHOLDS or monitor.kind == "Delta":
        if value < 0:  # N04.FR.14
            return _rejected("ValuePositiveOnly", "a difference is not negative")
    elif value < SHORTEST_STREAM_S:
        return _rejected("ValueTooLow", f"at least {SHORTEST_STREAM_S} s")
    return None


def _stream(monitor: Monitor) -> Refused | None:
    if monitor.stream is None:
        return None
    if monitor.kind not in PERIODIC:
        return _rejected("UnsupportedParam", "only periodic values are streamed")
    why = stream_problem(monitor.stream)
    return _rejected("InvalidValue", why) if why else None


def stream_problem(stream: Stream) -> str:
    """ "" = it can be done."""
    if not (stream.interval_s or stream.values):
        return "a stream needs an interval or a number of values"
    if stream.values > MOST_VALUES:
        return f"at most {MOST_VALUES} values at a time"
    return ""


def _replaces(old: Monitor | None, variable: Variable) -> Refused | None:
    if old is None:  # N04.FR.13
        return _rejected("NotFound", "there is no monitor with this id")
    if old.variable is not variable:  # N04.FR.16
        return _rejected("InvalidValue", "this id watches another variable")
    if old.notification == HARD:  # N04.FR.18
        return _rejected("ReadOnly", "a hard-wired monitor stays as it is")
    return None


def _duplicate(monitor: Monitor, known: Iterable[Monitor]) -> Refused | None:
    """N04.FR.10: one of a type and severity for each variable."""
    same = (monitor.variable, monitor.kind, monitor.severity)
    for other in known:
        like = (other.variable, other.kind, other.severity) == same
        if like and other.id != monitor.id:
            return Refused("Duplicate", "UnsupportedRequest", f"see {other.id}")
    return None


def _rejected(reason: str, text: str) -> Refused:
    return Refused("Rejected", reason, text)
