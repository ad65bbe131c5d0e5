"""One EVSE's tick: session, faults, snapshot, decide, ramp, envelope, actuate.

Holds what one EVSE must remember between ticks. Takes values and `now`, gives a
command, an offer and a report; does no I/O and reads no clock.
"""

from __future__ import annotations

import math
from dataclasses import replace

from chargerd import config
from chargerd.clock import Now
from chargerd.evse import causes, hlc, permanent, pilot, registers, session, wear
from chargerd.evse.actuate import Intent, Memory, actuate
from chargerd.model import (
    Decision,
    DispatchSignal,
    EvseReport,
    FaultNotice,
    Flexibility,
    Request,
    SessionPhase,
    Snapshot,
    VehicleOffer,
    VehicleState,
)
from chargerd.model import Promise as PromiseWish
from chargerd.model_grid import NO_RULES, GridRules
from chargerd.scheduler import (
    battery,
    bounds,
    constants,
    envelope,
    flex,
    follow,
    grid_rules,
    heed,
    kept_promise,
    ramp,
    share,
)
from chargerd.scheduler.battery_profile import PLAIN, Profiles
from chargerd.scheduler.blackout import Place
from chargerd.scheduler.bounds import is_ac, on_ac
from chargerd.scheduler.decide import decide
from chargerd.scheduler.fault_watch import FaultWatch
from chargerd.scheduler.signals import SchedulerError
from chargerd.scheduler.surroundings import Result, Surroundings
from chargerd.scheduler.terms import Carry, Context, Verdict
from chargerd.scheduler.vehicle_words import VehicleWords
from firmware_bridge.api import Command, StageSetpoint, Telemetry

_METER_FRESH_S = 1.0
_METER_LOST_S = 1.5  # a slow one is still waited for
_PROMISE_EVERY_S = 1.0
_REACH_BAND_PCT = 1.0
_FLEXIBILITY_EVERY_S = 1.0


class Runner:
    """The memory of one EVSE; `tick` is its only verb."""

    def __init__(
        self,
        evse: config.Evse,
        owner: config.Owner,
        site: config.Site,
        started_mono: float,
        profiles: Profiles = PLAIN,
        worn: wear.Wear = wear.NEW,
        wished: object = None,
        counted: registers.State = registers.NEW,
    ) -> None:
        """`wished`: the promise of before a restart, as `kept_promise` packed it."""
        self.evse_id = evse.id
        self._owner = owner
        self._started_mono = started_mono
        self.unit, self._ratings, self._fitted = constants.of(evse, owner, site)
        self._plain = self.unit  # without the network operator's rules
        self._ramp = ramp.Settings(evse.ramp_w_per_s, site.ramp_w_per_s)
        self._plain_ramp = self._ramp
        self._envelope = envelope.Ratings(evse.charge_w, evse.discharge_w)
        self._envelope_ac = envelope.Ratings(
            self.unit.ac_current_max_a * self.unit.ac_volts, 0.0
        )
        self._socket = any(c.type.startswith("s") for c in evse.connectors)
        connector = evse.connectors[0].id
        self.state = session.fresh(evse.id, connector_id=connector)
        self.track = share.Track()
        self.measured_w = 0.0
        self.power_w = 0.0
        self.current_a = 0.0
        self._told = StageSetpoint()  # the last command's
        self._memory = Memory()
        self.watch = FaultWatch(evse, self._fitted, started_mono, worn, counted)
        self._words = VehicleWords(evse.id)
        self._open_grid = False
        self._talking = constants.talking(evse)
        self._talk = hlc.State()
        self._ramped = ramp.State()
        self._trim = follow.State()
        self._limited = False
        self._rules, self._ruled = NO_RULES, grid_rules.REST
        if evse.battery is not None:
            profiles = Profiles(evse.battery)
        self._profiles, self._profile = profiles, profiles.other
        self._battery = battery.Estimate()
        self._rate = battery.Rate()
        self._verdict: Verdict | None = None
        self._session_id = ""
        self._promised_mono = 0.0
        self._vehicle_said: heed.Said = None  # of its wish
        self._discharged_wh = 0.0  # of the session, as last counted
        self.departs = False  # the owner's standing departure is this session's
        self._wished = wished
        self.split = share.split(evse.ac_phases, evse.ac_phase)
        self._flexibility: Flexibility | None = None
        self.snapshot: Snapshot | None = None
        self.context = Context()

    @property
    def closed(self) -> bool:
        """Any contactor of this EVSE is commanded closed."""
        return self._memory.dc_closed or self._memory.ac.closed

    @property
    def energise(self) -> bool:
        """Authorised and wanted: power flows, or is about to."""
        return self.state.energise

    @property
    def verdict(self) -> Verdict | None:
        """Of the last tick; None before the first of a session."""
        return self._verdict

    def take_discharged_wh(self) -> float:
        """What left the vehicle since the last call."""
        total_wh = self.state.session.energy_out_wh
        gone_wh = total_wh - self._discharged_wh
        self._discharged_wh = total_wh
        return max(0.0, gone_wh)  # a new session begins at zero

    def tick(
        self,
        now: Now,
        telemetry: Telemetry,
        vehicle: VehicleState,
        requests: tuple[Request, ...],
        around: Surroundings,
    ) -> Result:
        """Run one tick. The order is the law: session before power, clamp last."""
        vehicle = self._hear(now, telemetry, vehicle)
        self.watch.look(
            now,
            telemetry,
            vehicle,
            self._told,
            (self._memory.dc_closed, self._memory.ac.closed),
            around,
            unplugged=self.state.session.phase is SessionPhase.IDLE,
        )
        self._measure(telemetry, now)
        if self._profiles.other.stationary and not around.ramp_down:
            requests = (*permanent.start(self.state, now), *requests)
        asks = self._words.hear(vehicle, requests, self.unit, around)
        events = self._step_session(now, telemetry, vehicle, requests, around)
        snap = Snapshot(
            now=now,
            evse_id=self.evse_id,
            telemetry=telemetry,
            vehicle=vehicle,
            session=self.state.session,
            site=around.site,
            signals=around.signals,
            faults=self.watch.faults.active,
            operative=self.state.operative,
            leapt_wh=self.watch.registers.leapt_wh,
        )
        self._know_battery(snap)
        snap = self._heed_vehicle(snap)
        self._open_grid = around.open_grid
        self._obey(around.rules, now.mono)
        self.snapshot, self.context = snap, self._context(snap, around)
        verdict = decide(snap, self.unit, self.context)
        decision = self._decide(snap, verdict, around)
        command, offer = self._actuate(snap, verdict, decision)
        offer = self._words.tell(offer, self.state, around)
        report = EvseReport(snap, decision, self.power_w, self._flexible(verdict))
        self.power_w = decision.power_w
        return Result(command, offer, report, (*events, *asks))

    def _flexible(self, verdict: Verdict) -> Flexibility | None:
        """Once a second: it is told to people and markets, not to the wire."""
        snap, told = self.snapshot, self._flexibility
        if snap is None:
            return told
        if told is None or snap.now.mono - told.at_mono >= _FLEXIBILITY_EVERY_S:
            power_w = self._ramped.power_w
            told = flex.see(snap, self.unit, self.context, verdict, power_w)
            self._flexibility = told
        return told

    def what_if(self, signal: DispatchSignal, now: Now) -> Decision:
        """What `signal` would lead to with all else as it is; changes nothing. A signal
        that begins `now` begins after the last tick: that tick's time will not do."""
        snap = self.snapshot
        if snap is None:
            raise SchedulerError("no tick yet: ask again in 50 ms")
        others = tuple(s for s in snap.signals if s.source != signal.source)
        snap = replace(snap, now=now, signals=(*others, signal))
        verdict = decide(snap, self.unit, self.context)
        power_w = self._clamp(verdict, verdict.wanted_w, is_ac(snap))
        return verdict.decision(snap, power_w)

    def _obey(self, rules: GridRules, now_mono: float) -> None:
        """New rules of the network operator: what follows from them is made once."""
        if rules is self._rules:
            return
        if now_mono - self._started_mono < grid_rules.AFTER_START_S:
            self._ruled = grid_rules.after_start(rules)
        self._rules = rules
        self.unit = constants.ruled(self._plain, rules)
        self._ramp = self._plain_ramp.slowed(self._plain.charge_w, rules.ramp_s)

    # -- the parts of a tick ---------------------------------------------------

    def _hear(
        self, now: Now, telemetry: Telemetry, vehicle: VehicleState
    ) -> VehicleState:
        """What the pilot is for; a talk that is tried again is not yet a failure."""
        reading = telemetry.pilot
        if reading is not None:
            inputs = hlc.Inputs(
                now.mono,
                reading.value.pilot_state,
                self.state.energise,
                vehicle.data_link,
                vehicle.phase,
                pilot.offers_energy(self._memory.pwm.duty),
                self.watch.faults.ends_session is not None or not self.state.operative,
            )
            self._talk = hlc.step(self._talk, inputs, self._talking)
        return hlc.heard(self._talk, vehicle)

    def _measure(self, telemetry: Telemetry, now: Now) -> None:
        """A meter in doubt is not listened to: it would turn the house's sign too, and
        the site's caps would stop power before the fault is proven."""
        meter, stage = telemetry.meter, telemetry.stage
        age_s = math.inf if meter is None else meter.age_s(now.mono)
        doubted = self.watch.doubts_meter
        heard = stage is not None and stage.age_s(now.mono) <= causes.STAGE_LOST_S
        self.current_a = stage.value.current_a if stage and heard else 0.0
        if meter is not None and age_s < _METER_FRESH_S and not doubted:
            self.measured_w = meter.value.power_w
            self.track.add(meter.at_mono, meter.value.power_w)
            return
        self.measured_w = self.power_w
        if doubted or age_s >= _METER_LOST_S:  # no power of long ago beside the site's
            self.track.add(now.mono, self.power_w)

    def _step_session(
        self,
        now: Now,
        telemetry: Telemetry,
        vehicle: VehicleState,
        requests: tuple[Request, ...],
        around: Surroundings,
    ) -> tuple[session.Event, ...]:
        verdict = self._verdict
        pilot_is_fresh = (
            telemetry.pilot is not None
            and telemetry.pilot.age_s(now.mono) <= causes.PILOT_LOST_S
        )
        inputs = session.Inputs(
            pilot=telemetry.pilot.value if pilot_is_fresh and telemetry.pilot else None,
            vehicle=vehicle,
            counted_wh=self.watch.registers.counted_wh,
            requests=requests,
            stop=self.watch.faults.ends_session,
            faults=self.watch.faults.names,
            decided_w=self.power_w,
            vehicle_holds=verdict is not None and verdict.source == vehicle.protocol,
            current_a=self.current_a,
        )
        self.state, events = session.step(self.state, inputs, now)
        for event in events:
            if isinstance(event, FaultNotice):
                self.watch.notice(event)
        if self.state.session.id != self._session_id:
            self._new_session()
        self._recall_wish(now)
        self._keep_standing_wish(around.departure_mono)
        return events

    def _new_session(self) -> None:
        """Nothing of the last vehicle outlives it (#338, #77: stale SoC)."""
        self._session_id = self.state.session.id
        self._battery = battery.Estimate()
        self._rate = battery.Rate()
        self._verdict = None
        self._vehicle_said = None
        # Taken up after a restart, it brings energy that was counted in its time.
        self._discharged_wh = self.state.session.energy_out_wh
        self.departs = False

    def _recall_wish(self, now: Now) -> None:
        """A session that goes on after a restart goes on with its promise, as soon as
        the time of day is known."""
        held = self.state.session
        if self._wished is None or not now.trusted:
            return
        wish = kept_promise.read(self._wished, held.id, now)
        if wish is None:
            return
        self._wished = None
        if held.promise is None or held.promise.by_vehicle:
            self.state = replace(self.state, session=replace(held, promise=wish))

    def _keep_standing_wish(self, departure_mono: float | None) -> None:
        """Once in a session, as soon as the time of day is known."""
        held, owner = self.state.session, self._owner
        if self.departs or departure_mono is None or not held.id:
            return
        self.departs = True
        if held.promise is None or held.promise.by_vehicle:
            wish = PromiseWish(
                departure_mono, owner.target_soc_pct, owner.floor_soc_pct
            )
            self.state = replace(self.state, session=replace(held, promise=wish))

    def _know_battery(self, snap: Snapshot) -> None:
        vehicle, held = snap.vehicle, snap.session
        age_s = snap.now.mono - vehicle.soc_at_mono
        soc = vehicle.soc_pct if age_s <= battery.SOC_MAX_AGE_S else None
        profile = self._profiles.of(vehicle.vehicle_id)
        self._profile = profile
        capacity_wh = vehicle.capacity_wh
        if capacity_wh is None and profile.capacity_kwh is not None:
            capacity_wh = profile.capacity_kwh * 1000.0
        self._battery = battery.estimate(
            self._battery,
            soc,
            capacity_wh,
            held.energy_in_wh,
            held.energy_out_wh,
            self.unit.efficiency,
        )
        counted_w = self._counted_w(snap, soc) if self.state.energise else 0.0
        most_w = self._verdict.hard_high_w if self._verdict else 0.0
        self._rate.add(counted_w, self.measured_w, most_w, snap.now.mono)

    def _counted_w(self, snap: Snapshot, soc_pct: float | None) -> float:
        """The last command, as far as the charger alone answers for it."""
        limits, volts = snap.vehicle.limits, bounds.dc_volts(snap, self.unit)
        return battery.counted_w(
            self.power_w,
            self._told.current_a * volts / self.unit.efficiency,
            soc_pct,
            self._profile.knee_pct,
            volts,
            limits.voltage_max_v if limits else 0.0,
        )

    def _heed_vehicle(self, snap: Snapshot) -> Snapshot:
        """The vehicle's own wish is a promise, unless the owner made one here."""
        held, self._vehicle_said = heed.heed(
            snap.session,
            snap.vehicle,
            self._vehicle_said,
            self._battery.soc_pct,
            self._owner,
        )
        if held is snap.session:
            return snap
        self.state = replace(self.state, session=held)
        return replace(snap, session=held)

    def _context(self, snap: Snapshot, around: Surroundings) -> Context:
        last = self._verdict
        ac_path = is_ac(snap)
        no_stage = ac_path or on_ac(snap)
        fitted = replace(self._fitted, stage=False) if no_stage else self._fitted
        return Context(
            fresh=causes.is_fresh(snap.telemetry, fitted, snap.now.mono),
            stops_power=self.watch.faults.stops_power,
            no_discharge=self.watch.faults.no_discharge,
            derated="CableOverTempDerate" in self.watch.faults.names,
            battery=self._battery,
            rate=self._rate.value,
            carry=last.carry if last else Carry(),
            power_w=self.power_w,
            station_evses=around.station_evses,
            other_charge_w=around.other_charge_w,
            other_discharge_w=around.other_discharge_w,
            share_low_w=around.share.low_w,
            share_high_w=around.share.high_w,
            share_note=around.share.note,
            share_sure_w=around.share.sure_w,
            discharge_left_wh=around.discharge_left_wh,
            grid_gone=around.place is not Place.GRID,
            islanded=around.place is Place.FEED,
            plan=around.plan,
            profile=self._profile,
            rules=around.rules,
            ruled=self._ruled,
        )

    def _decide(
        self, snap: Snapshot, verdict: Verdict, around: Surroundings
    ) -> Decision:
        """Ramp, clamp, and remember what went to the wire."""
        now_mono = snap.now.mono
        self._verdict, self._ruled = verdict, verdict.ruled
        self._tell_promise(verdict, now_mono)
        wanted = 0.0 if around.ramp_down else verdict.wanted_w
        ac_path = is_ac(snap)
        if not ac_path:  # an AC car ramps by itself; PWM moves every 5 s only
            wanted = ramp.step(
                self._ramped, wanted, now_mono, self._ramp, hold=verdict.hold_turn
            )
        power_w = self._clamp(verdict, wanted, ac_path)
        self._ramped = ramp.follow(self._ramped, power_w, now_mono, self._ramp)
        return verdict.decision(snap, power_w)

    def _clamp(self, verdict: Verdict, power_w: float, ac_path: bool) -> float:
        return envelope.clamp(
            power_w,
            self._envelope_ac if ac_path else self._envelope,
            verdict.hard_low_w,
            verdict.hard_high_w,
            power_permitted=verdict.power_permitted,
            discharge_permitted=verdict.discharge_permitted,
        )

    def _tell_promise(self, verdict: Verdict, now_mono: float) -> None:
        """Once a second, and at once when force begins or ends."""
        held = self.state.session
        line = verdict.carry.line
        self._tell_reach(held.promise, line.reachable_pct)
        if held.promise is None:
            return
        forced = line.must_charge and verdict.low_w > 0.0  # no fault, path closed
        due = now_mono - self._promised_mono >= _PROMISE_EVERY_S
        if forced == held.promise.forced and not due:
            return
        self._promised_mono = now_mono
        told = replace(
            held.promise,
            reachable_soc_pct=line.reachable_pct,
            slack_s=line.slack_s,
            forced=forced,
        )
        self.state = replace(self.state, session=replace(held, promise=told))

    def _tell_reach(self, wish: PromiseWish | None, reach_pct: float | None) -> None:
        """A promise out of reach is told at once, as a note: to driver, CSMS, CLI."""
        name = "PromiseOutOfReach"
        if wish is None or reach_pct is None or not self.state.session.authorised:
            self.watch.notices.pop(name, None)
        elif reach_pct < wish.target_soc_pct - _REACH_BAND_PCT:
            text = f"{reach_pct:.0f} % instead of {wish.target_soc_pct:.0f} %"
            self.watch.notices.setdefault(name, text)
        elif reach_pct >= wish.target_soc_pct:
            self.watch.notices.pop(name, None)

    def _actuate(
        self, snap: Snapshot, verdict: Verdict, decision: Decision
    ) -> tuple[Command, VehicleOffer]:
        ac_path = is_ac(snap)
        meter = snap.telemetry.meter
        now_mono = snap.now.mono
        fresh = meter is not None and meter.age_s(now_mono) < _METER_FRESH_S
        self._trim = follow.step(
            self._trim,
            decision.power_w,
            meter.value.power_w if fresh and meter else None,
            meter.at_mono if meter else 0.0,
            now_mono,
            limited=self._limited
            or ac_path
            or on_ac(snap)
            or self.watch.doubts_meter
            or self.context.islanded,
        )
        power_w = follow.apply(self._trim, decision.power_w)
        held = self.state.session
        runs = held.authorised and held.phase is not SessionPhase.FINISHED
        intent = Intent(
            now_mono=now_mono,
            valid_until_mono=decision.valid_until_mono,
            power_w=decision.power_w if ac_path else power_w,
            offer_low_w=verdict.offer_low_w if verdict.discharge_permitted else 0.0,
            offer_high_w=verdict.offer_high_w,
            energise=self.state.energise,
            power_permitted=verdict.power_permitted,
            fault_stop=self.watch.faults.ends_session is not None,
            open_grid=self._open_grid,
            form_grid=self.context.islanded,
            setpoint_var=verdict.setpoint_var or 0.0,
            sleep=decision.asleep,
            charge_factor=self.unit.code.charge_power_factor,
            over=held.phase is SessionPhase.FINISHED,
            unplugged=self.state.gone or held.phase is SessionPhase.IDLE,
            ac_path=ac_path,
            operative=self.state.operative,
            unlock=now_mono < self.state.unlock_until_mono,
            keep_locked=self._socket
            and (self.state.away or self.state.held_for is not None),
            show=hlc.show(self._talk),
            session_id=held.id if runs else "",
        )
        self._memory, command, offer = actuate(
            self._memory, intent, snap.vehicle, snap.telemetry, self._ratings
        )
        self._told = command.stage
        stage = snap.telemetry.stage
        derated = stage is not None and stage.value.derated
        short = abs(offer.setpoint_a) - command.stage.current_a > 0.05
        self._limited = derated or short
        return command, offer
