"""What a HEMS may set on one EVSE, how long that holds, and what it means for power.

Pure. The protocol knows no end of a command, so we give it one (`hold_s`): past it the
mode is "automatic" again. Must never let a setting live on because it was forgotten.
"""

from __future__ import annotations

from enum import IntEnum

from chargerd.config import Evse
from chargerd.grid import echonet_device as device
from chargerd.model import DispatchSignal, OperationMode, Priority, Segment

SOURCE = "echonet"
MODES = (
    device.CHARGE,
    device.DISCHARGE,
    device.STANDBY,
    device.BOTH,
    device.IDLE,
    device.AUTOMATIC,
)
SETTABLE = frozenset({0xCD, 0xDA, 0xDC, 0xDD, 0xDE, 0xE0, 0xEB, 0xEC})
READABLE = SETTABLE - {0xCD}


class Method(IntEnum):
    """DC and DD: how it charges, how it discharges. 4, by current, is not served."""

    OTHERS = 0
    MOST = 1
    FOLLOW = 2  # the house's surplus, the house's load
    POWER = 3
    PURCHASE = 5  # hold the power bought at what DE says
    V2G = 6  # [K] read as: whoever speaks for the grid decides


class Settings:
    """The newest settings of one EVSE."""

    def __init__(self, evse: Evse) -> None:
        self._evse = evse
        self.mode = device.AUTOMATIC
        self._charging = self._discharging = Method.MOST
        self._purchase_w = 0
        self._charge_w, self._discharge_w = int(evse.charge_w), int(evse.discharge_w)
        self._both_w: int | None = None  # E0, + = charge

    def take(self, epc: int, edt: bytes) -> bool:
        """One property; False = not served, nothing changed."""
        if epc in (0xCD, 0xDA, 0xDC, 0xDD):
            return len(edt) == 1 and self._choose(epc, edt[0])
        if len(edt) != 4:
            return False
        value = int.from_bytes(edt, "big", signed=epc == 0xE0)
        if abs(value) > device.MAX_W:
            return False
        match epc:
            case 0xDE:
                self._purchase_w = value
            case 0xE0:
                self._both_w = value
            case 0xEB:
                self._charge_w, self._both_w = value, None
            case 0xEC:
                self._discharge_w, self._both_w = value, None
            case _:
                return False
        return True

    def _choose(self, epc: int, value: int) -> bool:
        if epc == 0xCD:  # "look whether a vehicle is there": we always do
            return value == 0x10
        if epc == 0xDA:
            if value not in MODES:
                return False
            self.mode = value
        elif value not in tuple(Method):
            return False
        elif epc == 0xDC:
            self._charging = Method(value)
        else:
            self._discharging = Method(value)
        return True

    def values(self) -> dict[int, bytes]:
        """As they read back."""
        both_w = self._both_w
        if both_w is None:
            discharging = self.mode == device.DISCHARGE
            both_w = -self._discharge_w if discharging else self._charge_w
        return {
            0xDA: bytes((self.mode,)),
            0xDC: bytes((self._charging,)),
            0xDD: bytes((self._discharging,)),
            0xDE: self._purchase_w.to_bytes(4, "big"),
            0xE0: both_w.to_bytes(4, "big", signed=True),
            0xEB: self._charge_w.to_bytes(4, "big"),
            0xEC: self._discharge_w.to_bytes(4, "big"),
        }

    def signal(self, now_mono: float, until_mono: float) -> DispatchSignal:
        """As a dispatch signal; in automatic mode one that withdraws the last."""
        segment = self._segment(now_mono)
        return DispatchSignal(
            source=SOURCE,
            evse_id=self._evse.id,
            priority=Priority.HOME,
            segments=() if segment is None else (segment,),
            received_mono=now_mono,
            valid_until_mono=now_mono if segment is None else until_mono,
        )

    def _segment(self, start: float) -> Segment | None:
        match self.mode:
            case device.CHARGE:
                return self._charge(start)
            case device.DISCHARGE:
                return self._discharge(start)
            case device.STANDBY | device.IDLE:
                return Segment(start, OperationMode.IDLE)
            case device.BOTH:
                if self._both_w is not None:
                    return self._power(start, self._both_w)
                return self._follow(start, 0.0)
        return None

    def _charge(self, start: float) -> Segment | None:
        match self._charging:
            case Method.OTHERS | Method.MOST:
                return self._power(start, self._evse.charge_w)
            case Method.FOLLOW:
                return self._follow(start, 0.0, least_w=0.0)
            case Method.POWER:
                asked_w = self._charge_w if self._both_w is None else self._both_w
                return self._power(start, max(0, asked_w))
            case Method.PURCHASE:
                return self._follow(start, self._purchase_w, least_w=0.0)
        return None  # V2G

    def _discharge(self, start: float) -> Segment | None:
        match self._discharging:
            case Method.OTHERS | Method.MOST:
                return self._power(start, -self._evse.discharge_w)
            case Method.FOLLOW:
                return self._follow(start, 0.0, most_w=0.0)
            case Method.POWER:
                asked_w = -self._discharge_w if self._both_w is None else self._both_w
                return self._power(start, min(0, asked_w))
            case Method.PURCHASE:
                return self._follow(start, self._purchase_w, most_w=0.0)
        return None

    def _power(self, start: float, power_w: float) -> Segment:
        bounded = min(max(power_w, -self._evse.discharge_w), self._evse.charge_w)
        return Segment(start, OperationMode.EXTERNAL_SETPOINT, setpoint_w=bounded)

    @staticmethod
    def _follow(
        start: float,
        target_w: float,
        *,
        least_w: float | None = None,
        most_w: float | None = None,
    ) -> Segment:
        """Follow the house; one direction is barred where the mode says so."""
        return Segment(
            start,
            OperationMode.LOCAL_LOAD_BALANCING,
            limit_w=most_w,
            discharge_limit_w=least_w,
            follow_w=float(target_w),
        )
