"""Power in an ISO 15118-20 session of the vehicle: contactor, loops, welding. Pure.

Owns what is asked in a loop and what ends it; iso20_words.py says it. Limits of time:
refs/iso15118.md 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from hil.ev.iso15118.script import PAUSE, RENEW, EvError, Script, SessionScript

TIMEOUTS_S = {  # refs 4.2; all others 2 s
    "DC_ChargeLoopReq": 0.5,
    "AC_ChargeLoopReq": 0.5,
    "ServiceDetailReq": 5.0,
    "CertificateInstallationReq": 5.0,
}
SERVICE = "another service"
CONFIRM = "MeteringConfirmation"
ASKED = {  # EVSENotification -> how the loop ends
    "Terminate": "stopped by the station",
    "Pause": PAUSE,
    "ScheduleRenegotiation": RENEW,
    "ServiceRenegotiation": SERVICE,
}


class Iso20Power(SessionScript):
    """The half of a session that moves power; iso20.py has the other one."""

    graph = GRAPH
    protocol = "iso15118-20"
    loop_names = ("DC_ChargeLoopReq", "AC_ChargeLoopReq")
    timeouts_s: ClassVar[Mapping[str, float]] = TIMEOUTS_S

    def __init__(
        self, car: Car, session_id: bytes = bytes(8), utc_offset_s: float = 0.0
    ) -> None:
        super().__init__(car, session_id)
        self.dynamic = self.profile.control == "dynamic"
        self._utc_offset_s = utc_offset_s
        self.tuple_id = 0

    @property
    def both(self) -> bool:
        return self.service.endswith("BPT")

    def energise(self) -> Script:
        """Cable check, precharge, own contactor."""
        car = self.car
        car.pilot = "C"
        yield from self.until_finished(
            lambda: self.say(dc.DC_CableCheckReq), s.CABLE_CHECK_S, "DC_CableCheck"
        )
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

    def deliver(self, progress: Any) -> Script:
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
        """One entry: what it takes at most, inside the schedule if there is one.

        EcoG's SECC demands one in dynamic control, too, and the acceptance; the schema
        has both optional."""
        own_w = self.profile.charge_max_w if self.dc else self.car.ac_charge_w()
        top_w = max(0.0, min([own_w, *self.station.get("schedule_w", ())]))
        entry = common.PowerScheduleEntry(Duration=3600, Power=rational(int(top_w)))
        mode: dict[str, Any] = {
            "Scheduled_EVPPTControlMode": common.Scheduled_EVPPTControlMode(
                SelectedScheduleTupleID=self.tuple_id,
                PowerToleranceAcceptance="PowerToleranceConfirmed",
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

    def dc_loop(self) -> Script:
        """DC_ChargeLoop until something ends it; the end's name."""
        car = self.car
        since_s = self.begin()
        while True:
            done = self.wish(gives=self.both)
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
            ending = self._notified(response) or done or self.planned(since_s)
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

    def weld_check(self) -> Script:
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

    def ac_loop(self) -> Script:
        """AC_ChargeLoop until something ends it; the end's name."""
        car = self.car
        since_s = self.begin()
        while True:
            done = self.wish(gives=self.both)
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
            ending = self._notified(response) or done or self.planned(since_s)
            if ending:
                return ending
            yield from s.wait(car, self.profile.loop_s)

    # -- what ends a loop -------------------------------------------------------------

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
        plan = common.Scheduled_SMDTControlMode(SelectedScheduleTupleID=self.tuple_id)
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
