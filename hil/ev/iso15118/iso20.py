"""The vehicle's way through an ISO 15118-20 session, as a script. Pure.

Owns what is asked when, and what ends it; iso20_words.py says it. Limits of time:
refs/iso15118.md 4.2.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chargerd.vehicle.iso15118.messages import ac, common, dc
from chargerd.vehicle.iso15118.messages.common_types import (
    MessageHeader,
    RationalNumber,
    V2GRequest,
)
from chargerd.vehicle.iso15118.messages.xmldsig import Signature
from chargerd.vehicle.iso15118.secc.iso20_graph import GRAPH
from hil.ev.iso15118 import iso20_words as words
from hil.ev.iso15118 import script as s
from hil.ev.iso15118.car import Car
from hil.ev.iso15118.iso20_words import number, rational
from hil.ev.iso15118.script import EvError, Script

SERVICE_IDS = {"AC": 1, "DC": 2, "AC_BPT": 5, "DC_BPT": 6}  # refs 4.5
CONTROL_MODES = {"scheduled": 1, "dynamic": 2}
TIMEOUTS_S = {  # refs 4.2; all others 2 s
    "DC_ChargeLoopReq": 0.5,
    "AC_ChargeLoopReq": 0.5,
    "ServiceDetailReq": 5.0,
    "CertificateInstallationReq": 5.0,
}
RENEW, SERVICE, PAUSE = "renew", "another service", "pause"
CONFIRM = "MeteringConfirmation"
ASKED = {  # EVSENotification -> how the loop ends
    "Terminate": "stopped by the station",
    "Pause": PAUSE,
    "ScheduleRenegotiation": RENEW,
    "ServiceRenegotiation": SERVICE,
}


class Iso20Script:
    """One session by external means; `run()` is the script."""

    graph = GRAPH
    protocol = "iso15118-20"
    loop_names: ClassVar[tuple[str, ...]] = ("DC_ChargeLoopReq", "AC_ChargeLoopReq")
    timeouts_s: ClassVar[dict[str, float]] = TIMEOUTS_S

    def __init__(
        self, car: Car, session_id: bytes = bytes(8), utc_offset_s: float = 0.0
    ) -> None:
        self.car = car
        self.profile = car.profile
        self.id = session_id
        self.service = ""
        self.station: dict[str, Any] = {}
        self.paused = False
        self.started_s: float | None = None
        self.dynamic = self.profile.control == "dynamic"
        self._utc_offset_s = utc_offset_s
        self._tuple_id = 0

    # -- the frame ------------------------------------------------------------------

    def run(self) -> Script:
        """From SessionSetup to SessionStop. EvError: why it ended otherwise."""
        try:
            yield from self._course()
        except EvError as error:
            self.car.off()
            if error.said:
                yield from self._goodbye("Terminate")
            raise

    def _course(self) -> Script:
        joined = yield from self._session_setup()
        if not joined:
            yield from self.authorise()
        while True:
            yield from self._choose()
            why = yield from self._transfer()
            if why != SERVICE:
                break
            yield from self._goodbye("ServiceRenegotiation")
        yield from self._goodbye("Pause" if why == PAUSE else "Terminate")
        self.paused = why == PAUSE

    def _transfer(self) -> Script:
        """One service from its parameters to a dead outlet; why it ended."""
        yield from self._parameters()
        yield from self._schedule()
        if self.dc:
            yield from self._energise()
        yield from self._deliver("Start")
        while True:
            why = yield from self._dc_loop() if self.dc else self._ac_loop()
            if why != RENEW:
                break
            yield from self._deliver("ScheduleRenegotiation")
            yield from self._schedule()
            yield from self._deliver("Start")
        yield from self._deliver("Stop")
        if self.dc:
            yield from s.open_contactor(self.car)
            yield from self._weld_check()
        self.car.off()
        return why

    def _goodbye(self, how: Any) -> Script:
        yield from self.say(common.SessionStopReq, ChargingSession=how)

    @property
    def dc(self) -> bool:
        return self.service.startswith("DC")

    @property
    def both(self) -> bool:
        return self.service.endswith("BPT")

    # -- before power -----------------------------------------------------------------

    def _session_setup(self) -> Script:
        """Whether a paused session was taken up again."""
        response = yield from self.say(
            common.SessionSetupReq, learn=True, EVCCID=self.profile.evccid.upper()
        )
        return response.ResponseCode == "OK_OldSessionJoined"

    def authorise(self) -> Script:
        response = yield from self.say(common.AuthorizationSetupReq)
        yield from self.by_card(response)

    def by_card(self, offered: common.AuthorizationSetupRes) -> Script:
        """By means that are not the vehicle's."""
        if "EIM" not in offered.AuthorizationServices:
            raise EvError("the station knows contracts only", said=True)
        yield from self.until_authorised(
            SelectedAuthorizationService="EIM",
            EIM_AReqAuthorizationMode=common.EIM_AReqAuthorizationMode(),
        )

    def until_authorised(self, **fields: Any) -> Script:
        """Ask until the driver is known. A WARNING is a no to this kind of payment."""
        patience = s.Patience(self.car, s.AUTHORISE_S, "Authorization")
        while True:
            response = yield from self.say(common.AuthorizationReq, **fields)
            if response.ResponseCode.startswith("WARNING"):
                raise EvError(f"AuthorizationRes: {response.ResponseCode}", said=True)
            if response.EVSEProcessing == "Finished":
                return
            patience.check()
            yield from s.wait(self.car, self.profile.poll_s)

    def _choose(self) -> Script:
        """The best of the wanted services, in the wanted control mode."""
        response = yield from self.say(
            common.ServiceDiscoveryReq,
        )
        offered = [
            each.ServiceID for each in response.EnergyTransferServiceList.Service
        ]
        self.service = self._best(offered)
        service_id = SERVICE_IDS[self.service]
        response = yield from self.say(common.ServiceDetailReq, ServiceID=service_id)
        wanted = CONTROL_MODES[self.profile.control]
        found = [
            each.ParameterSetID
            for each in response.ServiceParameterList.ParameterSet
            if any(
                one.Name == "ControlMode" and one.intValue == wanted
                for one in each.Parameter
            )
        ]
        if not found:
            raise EvError(f"{self.service} is not offered {self.profile.control}")
        selected = common.SelectedService(ServiceID=service_id, ParameterSetID=found[0])
        yield from self.say(
            common.ServiceSelectionReq, SelectedEnergyTransferService=selected
        )

    def _best(self, offered: list[int]) -> str:
        for service in self.profile.services:
            refused = "refuse_bpt" in self.car.active and service.endswith("BPT")
            if SERVICE_IDS[service] in offered and not refused:
                return service
        raise EvError(f"no service in common: the station has {offered}", said=True)

    def _parameters(self) -> Script:
        if self.dc:
            yield from self.say(
                dc.DC_ChargeParameterDiscoveryReq,
                DC_CPDReqEnergyTransferMode=words.dc_limits(self.car, both=self.both),
            )
            return
        yield from self.say(
            ac.AC_ChargeParameterDiscoveryReq,
            AC_CPDReqEnergyTransferMode=words.ac_limits(self.car, both=self.both),
        )

    def _schedule(self) -> Script:
        patience = s.Patience(self.car, s.ONGOING_S, "ScheduleExchange")
        while True:
            response = yield from self.say(
                common.ScheduleExchangeReq,
                MaximumSupportingPoints=24,
                **words.plan(self.car, dynamic=self.dynamic, both=self.both),
            )
            if response.EVSEProcessing == "Finished":
                break
            patience.check()
            yield from s.wait(self.car, self.profile.poll_s)
        offered = response.Scheduled_SEResControlMode
        if offered is not None:
            self._take(offered.ScheduleTuple[0])

    def _take(self, schedule: common.ScheduleTuple) -> None:
        """The first schedule; its powers are the frame of ours."""
        self._tuple_id = schedule.ScheduleTupleID
        plan = schedule.ChargingSchedule.PowerSchedule.PowerScheduleEntries
        powers = [number(each.Power) or 0.0 for each in plan.PowerScheduleEntry]
        self.station["schedule_w"] = powers

    def _energise(self) -> Script:
        """Cable check, precharge, own contactor."""
        car = self.car
        car.pilot = "C"
        patience = s.Patience(car, s.CABLE_CHECK_S, "DC_CableCheck")
        while True:
            response = yield from self.say(dc.DC_CableCheckReq)
            if response.EVSEProcessing == "Finished":
                break
            patience.check()
            yield from s.wait(car, self.profile.poll_s)
        patience = s.Patience(car, s.PRECHARGE_20_S, "DC_PreCharge")
        while not car.closed:
            target_v = car.battery.emf_v
            response = yield from self.say(
                dc.DC_PreChargeReq,
                EVProcessing="Ongoing",
                EVPresentVoltage=rational(round(car.seen.dc_voltage_v, 1)),
                EVTargetVoltage=rational(round(target_v, 1)),
            )
            outlet_v = number(response.EVSEPresentVoltage) or 0.0
            if abs(outlet_v - target_v) < s.PRECHARGE_V:
                car.wanted_closed = True
            patience.check()
            yield from s.wait(car, self.profile.loop_s)

    # -- power --------------------------------------------------------------------

    def _deliver(self, progress: Any) -> Script:
        if progress == "Start" and not self.dc:
            self.car.pilot = "C"
        if progress == "Stop":
            self.car.ac_target_w = 0.0
        yield from self.say(
            common.PowerDeliveryReq,
            EVProcessing="Finished",
            ChargeProgress=progress,
            EVPowerProfile=self._profile() if progress == "Start" else None,
        )

    def _profile(self) -> common.EVPowerProfile:
        """One entry: what it takes at most, inside the schedule if there is one. In
        dynamic control EcoG's SECC demands one, too."""
        own_w = self.profile.charge_max_w if self.dc else self.car.ac_charge_w()
        top_w = max(0.0, min([own_w, *self.station.get("schedule_w", ())]))
        entry = common.PowerScheduleEntry(Duration=3600, Power=rational(int(top_w)))
        mode: dict[str, Any] = {
            "Scheduled_EVPPTControlMode": common.Scheduled_EVPPTControlMode(
                SelectedScheduleTupleID=self._tuple_id
            )
        }
        if self.dynamic:
            mode = {"Dynamic_EVPPTControlMode": common.Dynamic_EVPPTControlMode()}
        return common.EVPowerProfile(
            TimeAnchor=self._utc(),
            **mode,
            EVPowerProfileEntries=common.EVPowerProfileEntryList(
                EVPowerProfileEntry=[entry]
            ),
        )

    def _dc_loop(self) -> Script:
        """DC_ChargeLoop until something ends it; the end's name."""
        car = self.car
        since_s = self._begin()
        while True:
            done = self._wish()
            target_a = 0.0 if done else self._target_a()
            response = yield from self.say(
                dc.DC_ChargeLoopReq,
                DisplayParameters=words.shown(car),
                MeterInfoRequested=True,
                EVPresentVoltage=rational(round(car.seen.dc_voltage_v, 1)),
                CLReqControlMode=words.dc_mode(
                    car, dynamic=self.dynamic, both=self.both, target_a=target_a
                ),
            )
            self._note(response)
            self._note(response.CLResControlMode)
            if self._asked(response) == CONFIRM and response.MeterInfo is not None:
                yield from self._confirm(response.MeterInfo)
            ending = self._notified(response) or done or self._planned(since_s)
            if ending:
                return ending
            yield from s.wait(car, self.profile.loop_s)

    def _target_a(self) -> float:
        """In scheduled control: charge where it may, else discharge; `feed` turns
        that round. Without the station's limits nothing is asked for."""
        car, volts = self.car, max(1.0, self.car.battery.emf_v)

        def inside(way: str, own_a: float) -> float:
            amps = self.station.get(f"EVSEMaximum{way}Current", 0.0)
            watts = self.station.get(f"EVSEMaximum{way}Power", 0.0)
            return max(0.0, float(min(own_a, amps, watts / volts)))

        charge_a = inside("Charge", car.charge_a())
        discharge_a = inside("Discharge", car.discharge_a()) if self.both else 0.0
        if "ignore_limits" in car.active:
            charge_a = self.profile.charge_max_a
        if self.profile.feed and discharge_a > 0.0:
            return -discharge_a
        return charge_a if charge_a > 0.0 else -discharge_a

    def _weld_check(self) -> Script:
        """Ask for the voltage until it is gone; a weld is found by its staying."""
        end_s = self.car.now_s + s.WELD_PATIENCE_S
        finished = False
        while not finished:
            finished = not self.car.closed or self.car.now_s >= end_s
            response = yield from self.say(
                dc.DC_WeldingDetectionReq,
                EVProcessing="Finished" if finished else "Ongoing",
            )
            self._note(response)
            yield from s.wait(self.car, self.profile.poll_s)

    def _ac_loop(self) -> Script:
        """AC_ChargeLoop until something ends it; the end's name."""
        car = self.car
        since_s = self._begin()
        while True:
            done = self._wish()
            response = yield from self.say(
                ac.AC_ChargeLoopReq,
                DisplayParameters=words.shown(car),
                MeterInfoRequested=True,
                CLReqControlMode=words.ac_mode(
                    car, dynamic=self.dynamic, both=self.both
                ),
            )
            mode = response.CLResControlMode
            self._note(mode)
            target_w = number(mode.EVSETargetActivePower)
            if target_w is None:
                target_w = car.ac_charge_w()
            low_w = -car.ac_discharge_w() if self.both else 0.0
            inside_w = max(low_w, min(target_w, car.ac_charge_w()))
            car.ac_target_w = 0.0 if done else inside_w
            if self._asked(response) == CONFIRM and response.MeterInfo is not None:
                yield from self._confirm(response.MeterInfo)
            ending = self._notified(response) or done or self._planned(since_s)
            if ending:
                return ending
            yield from s.wait(car, self.profile.loop_s)

    # -- what ends a loop -------------------------------------------------------------

    def _begin(self) -> float:
        self.started_s = self.started_s or self.car.now_s
        return self.car.now_s

    def _wish(self) -> str:
        """Why the vehicle itself wants no more; one that gives back is never full."""
        if self.car.leaves:
            return "leaves"
        if self.car.full and not self.both:
            return "full"
        return "" if self.car.digital() else "the PWM is gone"

    def _planned(self, since_s: float) -> str:
        lasted_s, profile = self.car.now_s - since_s, self.profile
        if 0.0 < profile.pause_after_s <= lasted_s:
            return PAUSE
        return RENEW if 0.0 < profile.renew_after_s <= lasted_s else ""

    def _asked(self, response: Any) -> str:
        status = response.EVSEStatus
        return "" if status is None else str(status.EVSENotification)

    def _notified(self, response: Any) -> str:
        return ASKED.get(self._asked(response), "")

    def _confirm(self, meter: Any) -> Script:
        """The newest reading, on its own side stream."""
        data = self._metering_data(meter)
        yield from self.say(
            common.MeteringConfirmationReq,
            SignedMeteringData=data,
            signature=self.seal(data),
        )
        self.station["receipts"] = self.station.get("receipts", 0) + 1

    def seal(self, data: common.SignedMeteringData) -> Signature | None:
        """Who pays by card signs nothing."""
        return None

    def _metering_data(self, meter: Any) -> common.SignedMeteringData:
        plan = common.Scheduled_SMDTControlMode(SelectedScheduleTupleID=self._tuple_id)
        dynamic = common.Dynamic_SMDTControlMode()
        return common.SignedMeteringData(
            Id="id1",
            SessionID=self.id,
            MeterInfo=meter,
            Dynamic_SMDTControlMode=dynamic if self.dynamic else None,
            Scheduled_SMDTControlMode=None if self.dynamic else plan,
        )

    def _note(self, part: Any) -> None:
        """Remember each rational number of a message."""
        for field in type(part).fields_:
            value = getattr(part, field.name)
            if isinstance(value, RationalNumber):
                self.station[field.name] = number(value)

    # -- saying -------------------------------------------------------------------

    def _utc(self) -> int:
        return int(self.car.now_s + self._utc_offset_s)

    def say(
        self,
        kind: type[V2GRequest],
        *,
        signature: Signature | None = None,
        learn: bool = False,
        **fields: Any,
    ) -> Script:
        """One request; its response. EvError for FAILED or another session."""
        header = MessageHeader(
            SessionID=self.id, TimeStamp=self._utc(), Signature=signature
        )
        response = yield kind(Header=header, **fields)
        name, code = type(response).__name__, response.ResponseCode
        if code.startswith("FAILED"):
            raise EvError(f"{name}: {code}", said=name != "SessionStopRes")
        if learn:
            self.id = response.Header.SessionID
        elif response.Header.SessionID != self.id:
            raise EvError(f"{name}: the session id is another")
        return response
