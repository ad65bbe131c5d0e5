"""What a driver told the vehicle becomes the session's promise.

Pure. Unless the owner made one here: that one stands. Counted anew only when the
vehicle says something new.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd import config
from chargerd.model import Session, VehicleState
from chargerd.scheduler import promise

Said = tuple[float | None, ...] | None  # departure and targets, as last told


def heed(
    held: Session,
    vehicle: VehicleState,
    said: Said,
    soc_pct: float | None,
    owner: config.Owner,
) -> tuple[Session, Said]:
    """The session with the vehicle's wish in it, and what was told for it."""
    needs = vehicle.needs
    if not owner.from_vehicle or not held.authorised or needs is None:
        return held, said
    if held.promise is not None and not held.promise.by_vehicle:
        return held, said
    telling = (vehicle.departure_mono, needs.target_soc_pct, needs.target_wh)
    if telling == said:
        return held, said
    wish = promise.of_vehicle(vehicle, soc_pct, owner.floor_soc_pct)
    if wish is None:
        return held, said
    if held.promise is not None:  # what was found out about it stays
        wish = replace(
            held.promise,
            departure_mono=wish.departure_mono,
            target_soc_pct=wish.target_soc_pct,
            floor_soc_pct=wish.floor_soc_pct,
        )
    return replace(held, promise=wish), telling
