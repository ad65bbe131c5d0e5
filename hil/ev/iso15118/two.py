"""The vehicle's way through ISO 15118-2 and DIN 70121 sessions, as a script. Pure.

Owns what is asked when, and what ends it. Subclasses bring the words in which the two
protocols differ. Limits of time: refs/iso15118.md 4.1.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, ClassVar

from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.messages.xmldsig import Signature
from hil.ev.iso15118 import script as s
from hil.ev.iso15118.script import PAUSE, RENEW, EvError, Script, SessionScript

SHORT_MAX = 32_767
SHUT = ("EVSE_Shutdown", "EVSE_EmergencyShutdown", "EVSE_Malfunction")
TIMEOUTS_S = {  # refs 4.1: EV timeouts; all others 2 s
    "CurrentDemandReq": 0.25,
    "ServiceDetailReq": 5.0,
    "PaymentDetailsReq": 5.0,
    "PowerDeliveryReq": 5.0,
    "CertificateInstallationReq": 5.0,
    "CertificateUpdateReq": 5.0,
}


class TwoScript(SessionScript):
    """One session; subclasses are a protocol each."""

    messages: ClassVar[ModuleType]
    loop_names = ("CurrentDemandReq", "ChargingStatusReq")
    timeouts_s: ClassVar[Mapping[str, float]] = TIMEOUTS_S

    # -- the frame ------------------------------------------------------------------

    def course(self) -> Script:
        yield from self.session_setup()
        yield from self.choose()
        yield from self.authorise()
        yield from self.parameters()
        if self.dc:
            yield from self._energise()
        yield from self._deliver("Start")
        while True:
            why = yield from self._dc_loop() if self.dc else self._ac_loop()
            if why != RENEW:
                break
            yield from self._deliver("Renegotiate")
            yield from self.parameters()
            yield from self._deliver("Start")
        yield from self._deliver("Stop")
        if self.dc:
            yield from s.open_contactor(self.car)
            yield from self._weld_check()
        self.car.off()
        yield from self.goodbye("Pause" if why == PAUSE else "Terminate")
        self.paused = why == PAUSE

    def goodbye(self, how: Any) -> Script:
        yield from self.say(self.session_stop(how))

    # -- words that differ ------------------------------------------------------------

    def session_setup(self) -> Script:
        yield from self.say(
            self.messages.SessionSetupReq(EVCCID=bytes.fromhex(self.profile.evccid)),
            learn=True,
        )

    @abstractmethod
    def choose(self) -> Script: ...

    @abstractmethod
    def authorise(self) -> Script: ...

    @abstractmethod
    def parameters(self) -> Script: ...

    @abstractmethod
    def power_delivery(self, progress: str) -> Complex: ...

    @abstractmethod
    def session_stop(self, how: str) -> Complex: ...

    # -- DC -----------------------------------------------------------------------

    def _energise(self) -> Script:
        """Cable check, precharge, own contactor."""
        m, car = self.messages, self.car
        car.pilot = "C"
        yield from self.until_finished(self._cable_check, s.CABLE_CHECK_S, "CableCheck")
        patience = s.Patience(car, s.PRECHARGE_S, "PreCharge")
        while not car.closed:
            target_v = car.battery.emf_v
            response = yield from self.say(
                m.PreChargeReq(
                    DC_EVStatus=self.status(),
                    EVTargetVoltage=self.pv(target_v, "V"),
                    EVTargetCurrent=self.pv(1.0, "A"),
                )
            )
            self._heed(response.DC_EVSEStatus)
            if abs(number(response.EVSEPresentVoltage) - target_v) < s.PRECHARGE_V:
                car.wanted_closed = True
            patience.check()
            yield from s.wait(car, self.profile.loop_s)

    def _cable_check(self) -> Script:
        request = self.messages.CableCheckReq(DC_EVStatus=self.status())
        response = yield from self.say(request)
        self._heed(response.DC_EVSEStatus)
        return response

    def _deliver(self, progress: str) -> Script:
        if progress == "Start" and not self.dc:
            self.car.pilot = "C"
        if progress == "Stop":
            self.car.ac_target_w = 0.0
        yield from self.say(self.power_delivery(progress))

    def _dc_loop(self) -> Script:
        """CurrentDemand until something ends it; the end's name."""
        m, car = self.messages, self.car
        since_s = self.begin()
        limit_a = float("inf")
        while True:
            done = self.wish()
            asked_a = 0.0 if done else min(car.charge_a(), limit_a)
            if "ignore_limits" in car.active:
                asked_a = self.profile.charge_max_a
            response = yield from self.say(
                m.CurrentDemandReq(
                    DC_EVStatus=self.status(),
                    EVTargetCurrent=self.pv(asked_a, "A"),
                    EVTargetVoltage=self.pv(car.battery.max_v, "V"),
                    EVMaximumVoltageLimit=self.pv(car.voltage_max_v, "V"),
                    EVMaximumCurrentLimit=self.pv(car.charge_a(), "A"),
                    EVMaximumPowerLimit=self.pv(self.profile.charge_max_w, "W"),
                    ChargingComplete=bool(done) and car.full,
                )
            )
            self._note(response, ("EVSEPresentVoltage", "EVSEPresentCurrent"))
            if response.EVSEMaximumCurrentLimit is not None:
                limit_a = max(0.0, number(response.EVSEMaximumCurrentLimit))
                self.station["limit_a"] = limit_a
            if getattr(response, "ReceiptRequired", None):
                yield from self.receipt(response.MeterInfo)
            notified = self._notified(response.DC_EVSEStatus)
            ending = notified or done or self.planned(since_s)
            if ending:
                return ending
            yield from s.wait(car, self.profile.loop_s)

    def _weld_check(self) -> Script:
        """Ask for the voltage until it is gone; a weld is found by its staying."""
        end_s = self.car.now_s + s.WELD_PATIENCE_S
        while self.car.now_s < end_s:
            response = yield from self.say(
                self.messages.WeldingDetectionReq(DC_EVStatus=self.status())
            )
            self._note(response, ("EVSEPresentVoltage",))
            if self.station["EVSEPresentVoltage"] < s.DEAD_V:
                return
            yield from s.wait(self.car, self.profile.poll_s)

    # -- AC -----------------------------------------------------------------------

    def _ac_loop(self) -> Script:
        """ChargingStatus until something ends it; the end's name."""
        car = self.car
        since_s = self.begin()
        while True:
            done = self.wish()
            response = yield from self.say(self.messages.ChargingStatusReq())
            if response.EVSEMaxCurrent is not None:
                limit_a = max(0.0, number(response.EVSEMaxCurrent))
                self.station["limit_a"] = limit_a
                phases = 3 if "three" in self.service else 1
                allowed_w = limit_a * phases * 230.0
                car.ac_target_w = 0.0 if done else min(car.ac_charge_w(), allowed_w)
            if response.ReceiptRequired:
                yield from self.receipt(response.MeterInfo)
            notified = self._notified(response.AC_EVSEStatus)
            ending = notified or done or self.planned(since_s)
            if ending:
                return ending
            yield from s.wait(car, self.profile.loop_s)

    def receipt(self, meter: Any) -> Script:
        """Sign what the meter says; only a contract can."""
        raise EvError("a receipt is asked for, and this vehicle has no contract")
        yield

    # -- what ends a loop -------------------------------------------------------------

    def _notified(self, status: Any) -> str:
        code = getattr(status, "EVSEStatusCode", "")
        if code in SHUT:
            return code
        asked = {"StopCharging": "stopped by the station", "ReNegotiation": RENEW}
        return asked.get(status.EVSENotification, "")

    def _heed(self, status: Any) -> None:
        """Before energy a station that gives up is told goodbye."""
        if status.EVSEStatusCode in SHUT:
            raise EvError(f"the station says {status.EVSEStatusCode}", said=True)

    def _note(self, response: Any, names: tuple[str, ...]) -> None:
        for name in names:
            self.station[name] = number(getattr(response, name))

    # -- saying -------------------------------------------------------------------

    def say(
        self,
        body: Complex,
        *,
        signature: Signature | None = None,
        learn: bool = False,
        look: Callable[[Any], None] | None = None,
    ) -> Script:
        """One request; its response's body. EvError for FAILED or another session.

        `learn`: the session id is the response's. `look` sees the whole response.
        """
        m = self.messages
        header = m.MessageHeader(SessionID=self.id, Signature=signature)
        message = m.V2G_Message(Header=header, Body=m.Body(BodyElement=body))
        answer = yield message
        response = answer.Body.BodyElement
        name = type(response).__name__
        code = getattr(response, "ResponseCode", "no response")
        if code.startswith("FAILED") or code == "no response":
            raise EvError(f"{name}: {code}", said=not name.startswith("SessionStop"))
        if learn:
            self.id = answer.Header.SessionID
        elif answer.Header.SessionID != self.id:
            raise EvError(f"{name}: the session id is another")
        if look is not None:
            look(answer)
        return response

    def pv(self, value: float, unit: str) -> Any:
        """A PhysicalValue, as exact as a short allows."""
        multiplier = -1
        while abs(value) / 10.0**multiplier > SHORT_MAX and multiplier < 3:
            multiplier += 1
        whole = round(value / 10.0**multiplier)
        whole = max(-SHORT_MAX, min(SHORT_MAX, whole))
        return self.messages.PhysicalValue(
            Multiplier=multiplier, Unit=unit, Value=whole
        )

    def status(self) -> Any:
        soc = max(0, min(100, int(self.car.battery.soc_pct)))
        return self.messages.DC_EVStatus(
            EVReady=True, EVErrorCode="NO_ERROR", EVRESSSOC=soc
        )


def number(value: Any) -> float:
    """A PhysicalValue's number."""
    return float(value.Value) * float(10.0**value.Multiplier)
