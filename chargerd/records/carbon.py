"""CO2 of energy that went in and out, and what its timing avoided. Pure.

Each Wh counts with the grid's intensity at its time, export as not emitted elsewhere.
Compared with the same energy for the driver, taken evenly over the same time; what was
lost out and in again is taken off first, so that losses save nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

ONE_WAY = 0.93  # efficiency assumed for the energy that went out and came in again
METHOD = (
    "CO2 avoided: the same energy for the driver at the mean intensity of this time, "
    "less what was emitted. Each Wh counts with the grid's intensity at its time; "
    "export counts as not emitted elsewhere; what is lost out and in again "
    f"({ONE_WAY:.0%} each way, assumed) is taken off. Only time and energy with a "
    "known intensity count."
)


@dataclass(slots=True)
class Carbon:
    """Sums of some time; `add` for each step in it."""

    known_s: float = 0.0
    intensity_s: float = 0.0  # g/kWh times seconds
    import_wh: float = 0.0  # with a known intensity
    export_wh: float = 0.0
    import_g: float = 0.0
    export_g: float = 0.0

    def add(
        self, step_s: float, import_wh: float, export_wh: float, g_per_kwh: float | None
    ) -> None:
        if g_per_kwh is None:
            return
        self.known_s += step_s
        self.intensity_s += step_s * g_per_kwh
        self.import_wh += import_wh
        self.export_wh += export_wh
        self.import_g += import_wh * g_per_kwh / 1000.0
        self.export_g += export_wh * g_per_kwh / 1000.0

    def join(self, other: Carbon) -> None:
        """That time, too. The mean is then that of both."""
        self.known_s += other.known_s
        self.intensity_s += other.intensity_s
        self.import_wh += other.import_wh
        self.export_wh += other.export_wh
        self.import_g += other.import_g
        self.export_g += other.export_g

    @property
    def mean_g_per_kwh(self) -> float | None:
        return self.intensity_s / self.known_s if self.known_s > 0.0 else None

    @property
    def avoided_g(self) -> float | None:
        """Negative: more was emitted than by taking it evenly. None: nothing known."""
        mean = self.mean_g_per_kwh
        if mean is None:
            return None
        for_driver_wh = self.import_wh - self.export_wh / ONE_WAY**2
        return mean * for_driver_wh / 1000.0 - (self.import_g - self.export_g)

    def told(self) -> dict[str, float | None]:
        """For records and programs."""
        mean, avoided = self.mean_g_per_kwh, self.avoided_g
        return {
            "known_s": round(self.known_s, 1),
            "mean_g_per_kwh": None if mean is None else round(mean, 1),
            "import_wh": round(self.import_wh, 1),
            "export_wh": round(self.export_wh, 1),
            "import_g": round(self.import_g, 1),
            "export_g": round(self.export_g, 1),
            "avoided_g": None if avoided is None else round(avoided, 1),
        }


def of(told: dict[str, float | None] | None) -> Carbon:
    """Back from `told`; of a record without it, nothing."""
    if not told:
        return Carbon()
    mean, known_s = told.get("mean_g_per_kwh") or 0.0, told.get("known_s") or 0.0
    sums = (
        told.get(n) or 0.0 for n in ("import_wh", "export_wh", "import_g", "export_g")
    )
    return Carbon(known_s, mean * known_s, *sums)
