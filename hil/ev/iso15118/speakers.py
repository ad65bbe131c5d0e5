"""Which protocols a vehicle offers, and the script that speaks each. Pure."""

from __future__ import annotations

from chargerd.vehicle.iso15118 import sap
from hil.ev.iso15118.car import Car
from hil.ev.iso15118.din import DinScript
from hil.ev.iso15118.iso2 import Iso2Script
from hil.ev.iso15118.iso2_contract import Iso2ContractScript
from hil.ev.iso15118.iso20 import Iso20Script
from hil.ev.iso15118.iso20_contract import Iso20ContractScript
from hil.ev.iso15118.profile import Profile
from hil.ev.iso15118.script import SessionScript
from hil.ev.iso15118.wallet import Wallet


def offers(profile: Profile, *, tls: bool) -> list[sap.Protocol]:
    """In the vehicle's order; ISO 15118-20 only where the connection is TLS."""
    found: list[sap.Protocol] = []
    for name in profile.protocols:
        if name == "din70121":
            found.append(sap.DIN)
        elif name == "iso15118-2":
            found.append(sap.ISO2)
        elif tls:
            found.extend(_iso20(profile))
    return found


def _iso20(profile: Profile) -> list[sap.Protocol]:
    """AC and DC are two protocols there."""
    kinds = [service.startswith("DC") for service in profile.services]
    found = [sap.ISO20_DC if kind else sap.ISO20_AC for kind in kinds]
    return list(dict.fromkeys(found))


def speaker(
    protocol: sap.Protocol,
    car: Car,
    *,
    wallet: Wallet | None = None,
    session_id: bytes = bytes(8),
    utc_offset_s: float = 0.0,
) -> SessionScript:
    """The script for the protocol that the station chose; with `wallet` by contract."""
    if protocol == sap.DIN:
        return DinScript(car)
    if protocol == sap.ISO2:
        if wallet is not None:
            return Iso2ContractScript(car, wallet, session_id)
        return Iso2Script(car, session_id)
    if wallet is not None:
        return Iso20ContractScript(car, wallet, session_id, utc_offset_s)
    return Iso20Script(car, session_id, utc_offset_s)
