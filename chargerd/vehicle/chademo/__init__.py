"""The CHAdeMO V2H door: `ChademoDoor` for the daemon, a sans-I/O sequence inside.

docs/vehicle-chademo.md has the sequence, the times and the quirks.
"""

from chargerd.vehicle.chademo.shell import ChademoDoor
from chargerd.vehicle.chademo.view import Ratings

__all__ = ["ChademoDoor", "Ratings"]
