"""The ledger of one decision: bounds being narrowed, and who narrowed them (law 3).

Pure. Nothing here widens a bound but `lift`, which stays inside what is left.
"""

from __future__ import annotations

from chargerd.model import Reason


class Ledger:
    """Bounds being narrowed, and who did it. 0 stays inside until the promise.

    `sure` is what the promise may count on: `high` less what only this moment takes.
    """

    __slots__ = (
        "entries",
        "floor",
        "high",
        "high_by",
        "low",
        "low_by",
        "sure",
        "top",
    )

    def __init__(self, low: float, high: float, source: str) -> None:
        self.floor, self.top = low, high
        self.low, self.high = low, high
        self.sure = high
        self.low_by = self.high_by = source
        self.entries: list[tuple[str, str, float, float, float | None, str]] = [
            ("safety", source, low, high, None, "what this EVSE is built for")
        ]

    def cap(
        self,
        stage: str,
        source: str,
        low: float,
        high: float,
        note: str = "",
        *,
        lasts: bool = True,
    ) -> None:
        """Narrow. A bound beyond zero counts as zero; NaN closes its side.

        `lasts` False: it follows what the other EVSEs do now, so the promise does not
        rest on it (`count_on` says on what).
        """
        low = min(low, 0.0) if low == low else 0.0
        high = max(high, 0.0) if high == high else 0.0
        if low > self.low:
            self.low, self.low_by = low, source
        if high < self.high:
            self.high, self.high_by = high, source
        if lasts:
            self.sure = min(self.sure, high)
        shown = (max(low, self.floor), min(high, self.top))
        self.entries.append((stage, source, *shown, None, note))

    def count_on(self, watts: float) -> None:
        """Charging that is this EVSE's whenever it must, whatever the others want."""
        self.sure = min(self.sure, max(0.0, watts))

    def lift(self, stage: str, source: str, low: float, note: str) -> None:
        """Power must be at least `low`: the promise's right, and only up to `high`."""
        self.low, self.low_by = min(low, self.high), source
        self.say(stage, source, self.low, note)

    def say(self, stage: str, source: str, wish: float | None, note: str = "") -> None:
        self.entries.append((stage, source, self.low, self.high, wish, note))

    def bound_at(self, power_w: float) -> str:
        """Who set the bound that `power_w` sits on, "" = it is free of both."""
        if power_w > 0.0 and power_w == self.high:
            return self.high_by
        return self.low_by if power_w < 0.0 and power_w == self.low else ""

    def reasons(self, winners: tuple[str, ...]) -> tuple[Reason, ...]:
        return tuple(
            Reason(stage, source, low, high, wish, source in winners, note)
            for stage, source, low, high, wish, note in self.entries
        )
