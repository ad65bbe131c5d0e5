"""ISO 15118-2's own words of the vehicle: services, payment, schedules. Pure."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar

from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.iso2_graph import GRAPH
from hil.ev.iso15118 import script as s
from hil.ev.iso15118.script import EvError, Script
from hil.ev.iso15118.two import TwoScript, number

CHARGE_SERVICE = 1
DC_MODES = ("DC_extended", "DC_combo_core")


class Iso2Script(TwoScript):
    """One ISO 15118-2 session, by external means (card, remote start)."""

    messages: ClassVar[ModuleType] = m
    graph = GRAPH
    protocol = "iso15118-2"

    def choose(self) -> Script:
        """The best of the wanted energies that the station has; the payment."""
        response = yield from self.say(m.ServiceDiscoveryReq())
        offered = response.ChargeService.SupportedEnergyTransferMode.EnergyTransferMode
        self.service = self._mode(offered)
        payments = response.PaymentOptionList.PaymentOption
        yield from self.pay(payments, response.ServiceList)

    def _mode(self, offered: list[Any]) -> str:
        for service in self.profile.services:
            if service.startswith("DC"):
                fitting: tuple[str, ...] = DC_MODES
            elif self.profile.ac_phases == 3:
                fitting = ("AC_three_phase_core", "AC_single_phase_core")
            else:
                fitting = ("AC_single_phase_core",)
            found = [mode for mode in fitting if mode in offered]
            if found:
                return found[0]
        raise EvError(f"no energy in common: the station has {offered}", said=True)

    def pay(self, payments: list[Any], services: Any) -> Script:
        if "ExternalPayment" not in payments:
            raise EvError(f"no payment in common: {payments}", said=True)
        yield from self.select("ExternalPayment")

    def select(self, payment: Any, *more: m.SelectedService) -> Script:
        chosen = [m.SelectedService(ServiceID=CHARGE_SERVICE), *more]
        yield from self.say(
            m.PaymentServiceSelectionReq(
                SelectedPaymentOption=payment,
                SelectedServiceList=m.SelectedServiceList(SelectedService=chosen),
            )
        )

    def authorise(self) -> Script:
        yield from self.until_authorised(m.AuthorizationReq())

    def until_authorised(self, request: Complex, **more: Any) -> Script:
        """Ask until the driver is known; `more`: its signature."""
        yield from self.until_finished(
            lambda: self.say(request, **more), s.AUTHORISE_S, "Authorization"
        )

    def parameters(self) -> Script:
        """Limits of both sides, and a schedule."""
        request = m.ChargeParameterDiscoveryReq(
            RequestedEnergyTransferMode=self.service,  # type: ignore[arg-type]
            EVChargeParameter=self._dc_limits() if self.dc else self._ac_limits(),
        )
        response = yield from self.until_finished(
            lambda: self.say(request), s.ONGOING_S, "ChargeParameterDiscovery"
        )
        first = response.SASchedules.SAScheduleTuple[0]
        self.tuple_id = first.SAScheduleTupleID
        entries = first.PMaxSchedule.PMaxScheduleEntry
        self.pmax_w = min(number(entry.PMax) for entry in entries)

    def _departure_s(self) -> int | None:
        return round(self.profile.departure_s) or None

    def _dc_limits(self) -> m.DC_EVChargeParameter:
        car, profile = self.car, self.profile
        return m.DC_EVChargeParameter(
            DepartureTime=self._departure_s(),
            DC_EVStatus=self.status(),
            EVMaximumCurrentLimit=self.pv(profile.charge_max_a, "A"),
            EVMaximumPowerLimit=self.pv(profile.charge_max_w, "W"),
            EVMaximumVoltageLimit=self.pv(car.voltage_max_v, "V"),
            EVEnergyCapacity=self.pv(car.battery.capacity_wh, "Wh"),
            EVEnergyRequest=self.pv(max(0.0, car.wh_to(profile.target_soc_pct)), "Wh"),
            FullSOC=100,
            BulkSOC=80,
        )

    def _ac_limits(self) -> m.AC_EVChargeParameter:
        profile = self.profile
        return m.AC_EVChargeParameter(
            DepartureTime=self._departure_s(),
            EAmount=self.pv(max(0.0, self.car.wh_to(profile.target_soc_pct)), "Wh"),
            EVMaxVoltage=self.pv(400.0, "V"),
            EVMaxCurrent=self.pv(profile.ac_max_a, "A"),
            EVMinCurrent=self.pv(6.0, "A"),
        )

    def power_delivery(self, progress: Any) -> Complex:
        plan = delivery = None
        if progress == "Start":
            top_w = min(self.pmax_w, self._own_max_w())
            entry = m.ProfileEntry(
                ChargingProfileEntryStart=0,
                ChargingProfileEntryMaxPower=self.pv(top_w, "W"),
            )
            plan = m.ChargingProfile(ProfileEntry=[entry])
        if self.dc:
            delivery = m.DC_EVPowerDeliveryParameter(
                DC_EVStatus=self.status(), ChargingComplete=self.car.full
            )
        return m.PowerDeliveryReq(
            ChargeProgress=progress,
            SAScheduleTupleID=self.tuple_id,
            ChargingProfile=plan,
            EVPowerDeliveryParameter=delivery,
        )

    def _own_max_w(self) -> float:
        if self.dc:
            return self.profile.charge_max_w
        return self.profile.ac_max_a * self.profile.ac_phases * 230.0

    def session_stop(self, how: Any) -> Complex:
        return m.SessionStopReq(ChargingSession=how)
