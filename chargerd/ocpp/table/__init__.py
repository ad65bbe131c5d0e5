"""The station's device model as one declarative table, in a file per functional block.

Owns which rows there are. Every ReadWrite row is read by the code; a row that nothing
reads must not be here.
"""

from __future__ import annotations

from chargerd.ocpp.table import (
    auth,
    certification,
    comm,
    conditions,
    customization,
    der,
    device_data,
    display,
    firmware,
    hardware,
    local_list,
    metering,
    monitoring,
    network,
    payment,
    pnc,
    reservation,
    security,
    smart,
    tariff,
    tx,
    v2x,
    vehicle,
    web_payment,
)
from chargerd.ocpp.table.row import Row

TABLE: tuple[Row, ...] = (
    *comm.ROWS,
    *customization.ROWS,
    *network.ROWS,
    *auth.ROWS,
    *local_list.ROWS,
    *reservation.ROWS,
    *pnc.ROWS,
    *tx.ROWS,
    *tariff.ROWS,
    *display.ROWS,
    *web_payment.ROWS,
    *payment.ROWS,
    *metering.ROWS,
    *device_data.ROWS,
    *monitoring.ROWS,
    *firmware.ROWS,
    *security.ROWS,
    *smart.ROWS,
    *v2x.ROWS,
    *certification.ROWS,
    *vehicle.ROWS,
    *der.ROWS,
    *hardware.ROWS,
    *conditions.ROWS,
)
