"""What the vehicle has said so far: its newest frames, read as limits and permissions.

Keeps values and ages only; decides nothing about the sequence, knows no hardware.
"""

from __future__ import annotations

from chargerd.vehicle.chademo.frames import (
    BatteryLimits,
    BatteryVoltage,
    ChargeEstimate,
    DischargeEstimate,
    DischargeLimits,
    ExtendedRequest,
    MakerOption,
    VehicleStatus,
    decode,
    levels_pct,
    soc_pct,
)

FRAME_MAX_AGE_S = 1.0  # a 102 (or 200) older than this is no permission
FALSE_SOC_FRAMES = 20  # the first values of 102.6 are false (3, 1, ...)


class Peer:
    """The vehicle of one wake: made new at each d1."""

    def __init__(self) -> None:
        self.limits: BatteryLimits | None = None
        self.estimate: ChargeEstimate | None = None
        self.estimate_at_mono = 0.0
        self.status: VehicleStatus | None = None
        self.status_at_mono = 0.0
        self.battery: BatteryVoltage | None = None
        self.extended: ExtendedRequest | None = None
        self.discharge: DischargeLimits | None = None
        self.discharge_at_mono = 0.0
        self.discharge_estimate: DischargeEstimate | None = None
        self.maker: MakerOption | None = None
        self.v2h = False  # 102.5.7 of the first 102: fixed for the session
        self.status_frames = 0

    def take(self, frame_id: int, data: bytes, now_mono: float) -> bool:
        """Keep one frame; False if the id is not a vehicle's. Raises ChademoError."""
        frame = decode(frame_id, data)
        match frame:
            case None:
                return False
            case VehicleStatus():
                if self.status is None:
                    self.v2h = frame.discharge_compatible
                self.status, self.status_at_mono = frame, now_mono
                self.status_frames += 1
            case BatteryLimits():
                self.limits = frame
            case ChargeEstimate():
                self._take_estimate(frame, now_mono)
            case DischargeLimits():
                self.discharge, self.discharge_at_mono = frame, now_mono
            case DischargeEstimate():
                self.discharge_estimate = frame
            case ExtendedRequest():
                self.extended = frame
            case BatteryVoltage():
                self.battery = frame
            case MakerOption():
                self.maker = frame
        return True

    def _take_estimate(self, frame: ChargeEstimate, now_mono: float) -> None:
        """A changed time starts its clock again: renewed, or counted by the vehicle."""
        old = self.estimate
        if old is None or frame.max_time_s != old.max_time_s:
            self.estimate_at_mono = now_mono
        self.estimate = frame

    @property
    def talking(self) -> bool:
        """Enough was heard to answer: the limits (100) and the status (102)."""
        return self.status is not None and self.limits is not None

    def silent(self, now_mono: float) -> bool:
        return now_mono - self.status_at_mono > FRAME_MAX_AGE_S

    @property
    def ready(self) -> bool:
        """The vehicle's half of the start: enabled, and it knows what it wants."""
        return (
            self.status is not None
            and self.status.enabled
            and self.status.target_voltage_v > 0.0
        )

    @property
    def contactor_flag(self) -> bool:
        """102.5.3 exists from protocol 1.0 (number 2) on."""
        return self.status is not None and self.status.protocol >= 2

    @property
    def contactor_open(self) -> bool:
        return self.status is None or self.status.contactor_open

    @property
    def request_a(self) -> float:
        """Charge current asked for, 102.3 or its extension; 0 when it is not told."""
        if self.status is None:
            return 0.0
        if self.status.request_a is not None:
            return self.status.request_a
        return self.extended.request_a if self.extended else 0.0

    @property
    def capacity_wh(self) -> float | None:
        return self.estimate.capacity_wh if self.estimate else None

    @property
    def soc_pct(self) -> float | None:
        """State of charge; None until the vehicle had time to know it."""
        if self.status is None or self.limits is None:
            return None
        if self.status_frames <= FALSE_SOC_FRAMES:
            return None
        return soc_pct(self.limits.rate_constant, self.status.charged_rate)

    @property
    def battery_max_v(self) -> float:
        return self.limits.max_voltage_v if self.limits else 0.0

    @property
    def battery_min_v(self) -> float:
        """The floor: of discharge (200.4-5) or of the battery (100.2-3)."""
        floor = self.limits.min_voltage_v if self.limits else 0.0
        if self.discharge is not None:
            floor = max(floor, self.discharge.min_voltage_v)
        return floor

    def levels(self) -> tuple[float | None, float | None]:
        """(minimum for discharge, maximum for charge) in percent, None = unknown."""
        if self.discharge is None:
            return None, None
        return levels_pct(
            self.discharge,
            has_201=self.discharge_estimate is not None,
            capacity_wh=self.capacity_wh,
        )

    def charge_full(self) -> bool:
        """200.7 is reached: stop charging only."""
        _, top = self.levels()
        soc = self.soc_pct
        return top is not None and soc is not None and soc >= top

    def may_discharge(self, voltage_v: float, margin_v: float, now_mono: float) -> bool:
        """The vehicle's half of the discharge permission (109.4.0 is ours).

        102.5.7, 200.0 below FF, voltage above 200.4-5 by `margin_v`, and the SoC known
        and above 200.6. Whatever is unknown or old says no.
        """
        limits, status = self.discharge, self.status
        if limits is None or status is None or not status.discharge_compatible:
            return False
        if now_mono - self.discharge_at_mono > FRAME_MAX_AGE_S:
            return False
        bottom, _ = self.levels()
        soc = self.soc_pct
        if bottom is None or soc is None or soc <= bottom:
            return False
        return limits.discharge_a < 0.0 and voltage_v > limits.min_voltage_v + margin_v

    def time_left_s(self, since_mono: float, now_mono: float) -> float | None:
        """What is left of 101's time, counted from `since_mono` or its last renewal."""
        if self.estimate is None or self.estimate.max_time_s <= 0.0:
            return None
        start = max(since_mono, self.estimate_at_mono)
        return self.estimate.max_time_s - (now_mono - start)
