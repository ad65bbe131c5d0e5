"""The station's limits in ChargeParameterDiscovery: its ratings, as magnitudes.

Owns what is promised for a whole session. What holds now is told in each loop.
"""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118.messages.ac import (
    AC_CPDResEnergyTransferMode,
    BPT_AC_CPDResEnergyTransferMode,
)
from chargerd.vehicle.iso15118.messages.dc import (
    BPT_DC_CPDResEnergyTransferMode,
    DC_CPDResEnergyTransferMode,
)
from chargerd.vehicle.iso15118.secc.iso20_services import Choice
from chargerd.vehicle.iso15118.secc.limits import rational
from chargerd.vehicle.iso15118.secc.station import Station


def dc_offer(choice: Choice, now: Station) -> DC_CPDResEnergyTransferMode:
    """V, A and W of the DC outlet."""
    ratings = now.setup.ratings
    values: dict[str, Any] = {
        "EVSEMaximumChargePower": rational(ratings.charge_max_w),
        "EVSEMinimumChargePower": rational(0.0),
        "EVSEMaximumChargeCurrent": rational(ratings.charge_max_a),
        "EVSEMinimumChargeCurrent": rational(0.0),
        "EVSEMaximumVoltage": rational(now.voltage_max_v),
        "EVSEMinimumVoltage": rational(now.voltage_min_v),
    }
    if not choice.bidirectional:
        return DC_CPDResEnergyTransferMode(**values)
    return BPT_DC_CPDResEnergyTransferMode(
        **values,
        EVSEMaximumDischargePower=rational(ratings.discharge_max_w),
        EVSEMinimumDischargePower=rational(0.0),
        EVSEMaximumDischargeCurrent=rational(ratings.discharge_max_a),
        EVSEMinimumDischargeCurrent=rational(0.0),
    )


def ac_offer(choice: Choice, now: Station) -> AC_CPDResEnergyTransferMode:
    """W of the AC outlet, all phases together, and the grid's frequency."""
    ratings = now.setup.ratings
    values: dict[str, Any] = {
        "EVSEMaximumChargePower": rational(ratings.charge_max_w),
        "EVSEMinimumChargePower": rational(0.0),
        "EVSENominalFrequency": rational(ratings.ac_frequency_hz),
    }
    if not choice.bidirectional:
        return AC_CPDResEnergyTransferMode(**values)
    return BPT_AC_CPDResEnergyTransferMode(
        **values,
        EVSEMaximumDischargePower=rational(ratings.discharge_max_w),
        EVSEMinimumDischargePower=rational(0.0),
    )
