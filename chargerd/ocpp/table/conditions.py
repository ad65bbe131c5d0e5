"""A row for each component's condition that a fault of the one table can report (N07).

Owns where such a component is. NotifyEvent names only variables that are reported.
"""

from __future__ import annotations

from chargerd.faults import FAULTS
from chargerd.ocpp.table.row import Row, Scope, read

CONDITIONS = frozenset({"Active", "Fallback", "Overload", "Problem", "Tripped"})
# Parts of the station itself; a fault of theirs may also concern one EVSE alone.
_STATION = frozenset({"Controller", "ISO15118Ctrlr", "OCPPCommCtrlr"})
_AT_CONNECTOR = frozenset({"Connector", "ConnectorPlugRetentionLock"})


def scope_of(component: str) -> Scope:
    """The finest place of a component."""
    return "connector" if component in _AT_CONNECTOR else "evse"


def _row(component: str, variable: str, scope: Scope) -> Row:
    return read(
        component, variable, "boolean", "false", scope=scope, live=True, monitored=True
    )


_NAMED = sorted(
    {(f.component, f.variable) for f in FAULTS.values() if f.variable in CONDITIONS}
)
ROWS: tuple[Row, ...] = (
    *(_row(*name, scope_of(name[0])) for name in _NAMED),
    *(_row(*name, "station") for name in _NAMED if name[0] in _STATION),
)
