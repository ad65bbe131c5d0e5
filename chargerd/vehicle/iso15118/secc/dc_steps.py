"""The DC power path of one session, shared by DIN 70121, ISO 15118-2 and -20.

Owns lock, cable check, precharge, contactor, stop and weld check: takes measurements
and the session's requests, holds the step of dc_table.py that they justify. Must never
read a message, and never leaves a step for one that the table does not allow.
"""

from __future__ import annotations

from chargerd.model import VehicleDemand, VehiclePhase
from chargerd.vehicle.iso15118.secc.causes import FAULTS, Cause
from chargerd.vehicle.iso15118.secc.dc_table import (
    AT_ONCE,
    CLOSED,
    PERMITTED,
    ROWS,
    RUNNING,
    DcStep,
    DcTimes,
    Isolation,
    cable_check_voltage,
    span,
)
from chargerd.vehicle.iso15118.secc.station import Station
from firmware_bridge.api import PilotState

BEATS_S = 0.1


class DcPath:
    """The power path of one session at one connector; made new for each session.

    `turn` after every measurement and before every answer; requests in between.
    `outlet_sensed`: the insulation monitor measures the outlet, not the stage.
    """

    def __init__(
        self,
        now: Station,
        *,
        outlet_sensed: bool = False,
        times: DcTimes | None = None,
    ) -> None:
        self.times = times or DcTimes()
        self.step = DcStep.IDLE
        self.isolation = Isolation.INVALID
        self.cause: Cause | None = None
        self.faults: set[str] = set()
        self.ev_max_v = float("inf")  # the vehicle's own ceiling; may move
        self._sensed = outlet_sensed
        self._now = now
        self._step_mono = now.now_mono
        self._check_mono = self._precharge_mono = float("inf")
        self._steady_mono: float | None = None
        self._reached_mono = float("inf")  # since when the test voltage stands
        self._unwanted_mono = float("inf")  # since when the station wants it no more
        self._test_v = self._target_v = 0.0
        self._go = False  # the vehicle has said that it closed its contactors
        self._told_mono = float("inf")  # since when the vehicle needs no weld check
        self._blind = False  # released without having seen the outlet go dead
        self._live = False

    # -- requests of the session ----------------------------------------------------

    def lock(self) -> None:
        """Lock the connector: the session is authorised."""
        if self.step is DcStep.IDLE and self._now.authorised:
            self._enter(DcStep.LOCK)

    def check_cable(self, ev_max_v: float, evse_max_v: float) -> None:
        """The vehicle asks for the insulation test; asking again changes nothing."""
        if self.step not in (DcStep.IDLE, DcStep.LOCK) or not self._now.authorised:
            return
        self.ev_max_v = ev_max_v
        self._test_v = cable_check_voltage(ev_max_v, evse_max_v)
        self._check_mono = self._now.now_mono
        self.isolation = Isolation.INVALID
        self._enter(DcStep.WAIT)
        self._move()

    def precharge(self, target_v: float) -> None:
        """The vehicle asks for its battery's voltage at the outlet; repeated.

        The target may still move until the contactor closes.
        """
        if self.step is DcStep.TESTED and target_v > 0.0:
            self._target_v = target_v
            self._precharge_mono = self._now.now_mono
            self._enter(DcStep.MATCH)
        elif self.step is DcStep.MATCH and target_v > 0.0:
            self._target_v = target_v
        self._move()

    def start(self) -> bool:
        """PowerDelivery(Start): whether power can flow, now or within precharge's time.

        A vehicle that is faster than our contactor is not sent away: energy begins
        when the voltage matches and the contactor is closed, never before.
        """
        if self.step not in (DcStep.MATCH, DcStep.JOIN, DcStep.JOINED, DcStep.ENERGY):
            return False
        self._go = True
        self._move()
        return True

    def stop(self, cause: Cause = Cause.VEHICLE_STOP) -> None:
        """End it in order: current to zero, the weld check, contactor open.

        A cause in AT_ONCE skips the weld check and drops the contactor's demand now.
        """
        if self.cause is None:
            self.cause = cause
        if cause in FAULTS:
            self.faults.add(FAULTS[cause])
        if self.step in CLOSED and cause in AT_ONCE:
            self._blind = True
            self._enter(DcStep.RELEASE)
        elif self.step in RUNNING and self.step in CLOSED:
            self._enter(DcStep.RAMP_DOWN)
        elif self.step in span(DcStep.TEST, DcStep.MATCH):
            self._blind = self._go
            self._enter(DcStep.RELEASE)
        elif self.step in (DcStep.LOCK, DcStep.WAIT):
            self._enter(DcStep.UNLOCK)
        elif self.step is DcStep.IDLE:
            self._enter(DcStep.DONE)

    def release(self, cause: Cause = Cause.VEHICLE_STOP) -> None:
        """The weld check is over, or nobody will ask for it: contactor open."""
        if self.step in RUNNING:
            self.stop(cause)
        self._told_mono = min(self._told_mono, self._now.now_mono)

    # -- what the session reads -----------------------------------------------------

    @property
    def tested(self) -> bool:
        """The cable check has passed and the path has not ended since."""
        return self.step in span(DcStep.TESTED, DcStep.ENERGY)

    @property
    def joined(self) -> bool:
        """The outlet has the matched voltage: the vehicle may close its contactors."""
        return self.step in (DcStep.JOINED, DcStep.ENERGY)

    @property
    def energy(self) -> bool:
        return self.step is DcStep.ENERGY

    @property
    def still(self) -> bool:
        """No current on its way down: a stop may be answered."""
        return self.step is not DcStep.RAMP_DOWN

    @property
    def ended(self) -> bool:
        """A stop was asked for or came by itself; nothing restarts this path."""
        return self.step not in RUNNING

    @property
    def since_mono(self) -> float:
        """When the present step began."""
        return self._step_mono

    @property
    def outlet_v(self) -> float:
        """EVSEPresentVoltage, V: what the vehicle finds at the outlet."""
        volts = self._outlet_v()
        return 0.0 if volts is None else max(0.0, volts)

    @property
    def phase(self) -> VehiclePhase:
        if self.step is DcStep.DONE and self.faults:
            return VehiclePhase.FAULT
        return ROWS[self.step].phase

    def demand(self, ceiling_v: float = 0.0, cutoff_v: float = 0.0) -> VehicleDemand:
        """Pins from the table, voltage as the step wants it; the two are ENERGY's."""
        row, volts, amperes = ROWS[self.step], 0.0, 0.0
        if self.step is DcStep.TEST:
            volts, amperes = self._test_v, self.times.test_a
        elif self.step in (DcStep.MATCH, DcStep.JOIN, DcStep.JOINED):
            volts, amperes = self._target_v, self.times.test_a
        elif self.step is DcStep.ENERGY:
            volts = ceiling_v
        return VehicleDemand(
            lock=row.lock,
            close_dc=row.close_dc,
            insulation_on=row.insulation,
            voltage_v=volts,
            current_a=amperes,
            cutoff_v=cutoff_v if self.step is DcStep.ENERGY else 0.0,
        )

    def next_timer(self) -> float | None:
        """When `turn` is wanted even without news; None at rest."""
        if self.step in (DcStep.IDLE, DcStep.DONE):
            return None
        return self._now.now_mono + BEATS_S

    # -- the turn -------------------------------------------------------------------

    def turn(self, now: Station) -> None:
        """Judge, then move as far as the measurements carry."""
        self._now = now
        if now.authorised:
            self._unwanted_mono = float("inf")
        else:
            self._unwanted_mono = min(self._unwanted_mono, now.now_mono)
        cause = self._wrong()
        if cause is not None:
            self.stop(cause)
        self._move()

    def _wrong(self) -> Cause | None:
        """The most important reason to end now."""
        now, step = self._now, self.step
        if step not in RUNNING and step is not DcStep.WELD:
            return None
        if now.pilot is not None and now.pilot.emergency_stop:
            return Cause.EMERGENCY_STOP
        if self._unplugged():
            return Cause.PILOT_LEFT
        if step in (DcStep.IDLE, DcStep.LOCK):
            return None
        if now.silent:
            return Cause.STATION_SILENT
        if now.pilot is None:
            return Cause.PILOT_LOST
        if now.pilot.safe_state:
            return Cause.STATION_SAFE_STATE
        if step in PERMITTED and not now.energised_pilot:
            return Cause.PILOT_LEFT
        if step in PERMITTED and not now.locked:
            return Cause.LOCK
        return Cause.STAGE_LOST if now.stage is None else self._harmful()

    def _harmful(self) -> Cause | None:
        """What the measurements forbid, then what the station no longer wants."""
        now, step, times = self._now, self.step, self.times
        if step in span(DcStep.MATCH, DcStep.ENERGY) and (leak := self._leaks()):
            return leak
        if step in (DcStep.JOINED, DcStep.ENERGY):
            if not self._closed():
                return Cause.STATION_CONTACTOR
            if now.voltage_v > self.ev_max_v + times.over_v:
                return Cause.OVER_VOLTAGE
        if step in RUNNING and now.offer.fault_stop:
            return Cause.STATION_FAULT
        # In ENERGY the vehicle is told first, and ends it in order.
        grace_s = times.unwanted_s if step is DcStep.ENERGY else 0.0
        if now.now_mono - self._unwanted_mono >= grace_s:
            return Cause.STATION
        return self._late()

    def _leaks(self) -> Cause | None:
        reading = self._now.insulation
        if reading is None or reading.device_fault:
            return Cause.INSULATION_LOST
        ohm = reading.resistance_ohm
        low = ohm is not None and ohm < self.times.insulation_ohm
        return Cause.INSULATION if reading.alarm or low else None

    def _late(self) -> Cause | None:
        now_mono, times, step = self._now.now_mono, self.times, self.step
        if step in span(DcStep.WAIT, DcStep.SINK):
            if now_mono - self._check_mono >= times.cable_check_s:
                return self._not_tested()
            waiting = step is DcStep.WAIT and not self._now.locked
            if waiting and now_mono - self._step_mono >= times.lock_s:
                return Cause.LOCK
        if step is DcStep.JOIN and now_mono - self._step_mono >= times.contactor_s:
            return Cause.STATION_CONTACTOR
        late = now_mono - self._precharge_mono >= times.precharge_s
        return Cause.PRECHARGE if step is DcStep.MATCH and late else None

    def _not_tested(self) -> Cause:
        self.isolation = Isolation.FAULT
        return Cause.CABLE_CHECK

    def _closed(self) -> bool:
        """Mirror contact closed; a board without one has only the settling time."""
        return self._now.pilot is not None and self._now.pilot.dc_closed is not False

    def _unplugged(self) -> bool:
        """Known to be pulled; a silent pilot proves nothing."""
        pilot = self._now.pilot
        return pilot is not None and pilot.pilot_state is PilotState.A

    def _measured_mono(self) -> float:
        """When the insulation value was taken."""
        reading = self._now.offer.telemetry.insulation
        return reading.at_mono if reading is not None else float("-inf")

    def _outlet_v(self) -> float | None:
        """Voltage where the vehicle is; None: nobody sees it now."""
        if self.step in CLOSED - {DcStep.JOIN} and self._closed() and self._now.stage:
            return self._now.stage.voltage_v
        if self._sensed and self._now.insulation is not None:
            return self._now.insulation.voltage_v
        return None

    def _below(self, volts: float) -> bool:
        """The stage, and the outlet where seen, are below `volts`."""
        if self._now.stage is None or abs(self._now.voltage_v) >= volts:
            return False
        outlet_v = self._outlet_v()
        return outlet_v is None or abs(outlet_v) < volts

    def _steady(self, good: bool) -> bool:
        """Whether `good` has held for the settling time in this step."""
        if not good:
            self._steady_mono = None
            return False
        if self._steady_mono is None:
            self._steady_mono = self._now.now_mono
        return self._now.now_mono - self._steady_mono >= self.times.settle_s

    def _enter(self, step: DcStep) -> None:
        self.step, self._step_mono = step, self._now.now_mono
        self._steady_mono, self._reached_mono = None, float("inf")

    def _move(self) -> None:
        for _ in range(len(DcStep)):
            following = self._next()
            if following is None:
                return
            if isinstance(following, Cause):
                self.stop(following)
            else:
                self._enter(following)

    def _next(self) -> DcStep | Cause | None:
        match self.step:
            case DcStep.WAIT:
                good = (
                    self._now.locked
                    and self._now.energised_pilot
                    and self._now.authorised
                )
                sunk = self._below(self.times.touch_v)
                return DcStep.TEST if good and sunk else None
            case DcStep.TEST:
                return self._test()
            case DcStep.SINK:
                return DcStep.TESTED if self._below(self.times.touch_v) else None
            case DcStep.MATCH:
                fits = abs(self._now.voltage_v - self._target_v) <= self.times.match_v
                return DcStep.JOIN if self._steady(fits and self._may_close()) else None
            case DcStep.JOIN:
                return DcStep.JOINED if self._steady(self._closed()) else None
            case DcStep.JOINED:
                return DcStep.ENERGY if self._go and self._now.authorised else None
            case _:
                return self._next_stopping()

    def _may_close(self) -> bool:
        now = self._now
        return now.authorised and now.locked and now.energised_pilot

    def _test(self) -> DcStep | Cause | None:
        """The whole test voltage, then a value measured under it, above the limit."""
        now, reading = self._now, self._now.insulation
        if reading is not None and (reading.alarm or reading.device_fault):
            return self._not_tested()
        if now.voltage_v < self.times.test_share * self._test_v:
            self._reached_mono, self._steady_mono = float("inf"), None
            return None
        self._reached_mono = min(self._reached_mono, now.now_mono)
        ohm = reading.resistance_ohm if reading is not None else None
        if ohm is None or self._measured_mono() < self._reached_mono:
            return None
        if ohm < self.times.insulation_ohm:
            return self._not_tested()
        if not self._steady(True):
            return None
        warning = reading is not None and reading.warning
        self.isolation = Isolation.WARNING if warning else Isolation.VALID
        return DcStep.SINK

    def _next_stopping(self) -> DcStep | None:
        now, times = self._now, self.times
        waited_s = now.now_mono - self._step_mono
        match self.step:
            case DcStep.RAMP_DOWN:
                small = now.stage is not None and abs(now.current_a) < times.open_a
                return DcStep.WELD if small or waited_s >= times.ramp_down_s else None
            case DcStep.WELD:
                return self._weld(waited_s)
            case DcStep.RELEASE:
                return self._released(waited_s)
            case DcStep.UNLOCK:
                return None if now.locked else DcStep.DONE
            case DcStep.LIVE:
                gone = self._sensed and self._below(times.touch_v)
                return DcStep.UNLOCK if gone or self._unplugged() else None
            case _:
                return None

    def _weld(self, waited_s: float) -> DcStep | None:
        """Over when the vehicle is done; a voltage that stays then is a weld."""
        volts, times = self._outlet_v(), self.times
        self._live = volts is not None and abs(volts) >= times.touch_v
        told_s = self._now.now_mono - self._told_mono
        if self._unplugged() or (told_s >= 0.0 and not self._live):
            return DcStep.RELEASE
        if waited_s < times.weld_s and told_s < times.discharge_s:
            return None
        if self._live:
            self.faults.add(FAULTS[Cause.EV_CONTACTOR])
        return DcStep.RELEASE

    def _released(self, waited_s: float) -> DcStep | None:
        """Unlock only a connector that is not known to be live."""
        if self._unplugged():
            return DcStep.UNLOCK
        volts = self._outlet_v()
        if volts is not None:
            self._live = abs(volts) >= self.times.touch_v
            self._blind = False
        if self._live:
            if waited_s < self.times.live_s:
                return None
            self.faults.add(FAULTS[Cause.LIVE_CONNECTOR])
            return DcStep.LIVE
        if waited_s >= self.times.live_s:
            return DcStep.UNLOCK
        seen = self._below(self.times.touch_v)
        late = waited_s >= self.times.blind_release_s
        return DcStep.UNLOCK if seen and (late or not self._blind) else None
