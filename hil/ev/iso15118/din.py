"""DIN 70121's own words of the vehicle: DC only, no contract, no pause. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

from chargerd.vehicle.iso15118.messages import din as m
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc.din_graph import GRAPH
from hil.ev.iso15118 import script as s
from hil.ev.iso15118.script import EvError, Script
from hil.ev.iso15118.two import TwoScript

CHARGE_SERVICE = 1


class DinScript(TwoScript):
    """One DIN 70121 session."""

    messages: ClassVar[ModuleType] = m
    graph = GRAPH
    protocol = "din70121"
    timeouts_s: ClassVar[Mapping[str, float]] = {"CurrentDemandReq": 0.25}

    def choose(self) -> Script:
        """DC over the combined connector's own pins, paid by external means."""
        response = yield from self.say(m.ServiceDiscoveryReq())
        offered = response.ChargeService.EnergyTransferType
        if offered != "DC_extended":
            raise EvError(f"no energy in common: the station has {offered}", said=True)
        self.service = offered
        chosen = m.SelectedService(ServiceID=CHARGE_SERVICE)
        yield from self.say(
            m.ServicePaymentSelectionReq(
                SelectedPaymentOption="ExternalPayment",
                SelectedServiceList=m.SelectedServiceList(SelectedService=[chosen]),
            )
        )

    def authorise(self) -> Script:
        yield from self.until_finished(
            lambda: self.say(m.ContractAuthenticationReq()),
            s.AUTHORISE_S,
            "ContractAuthentication",
        )

    def parameters(self) -> Script:
        request = m.ChargeParameterDiscoveryReq(
            EVRequestedEnergyTransferType="DC_extended",
            EVChargeParameter=self._limits(),
        )
        response = yield from self.until_finished(
            lambda: self.say(request), s.ONGOING_S, "ChargeParameterDiscovery"
        )
        first = response.SASchedules.SAScheduleTuple[0]
        self.tuple_id = first.SAScheduleTupleID
        entries = first.PMaxSchedule.PMaxScheduleEntry
        self.pmax_w = min(entry.PMax for entry in entries)

    def _limits(self) -> m.DC_EVChargeParameter:
        profile, car = self.profile, self.car
        return m.DC_EVChargeParameter(
            DC_EVStatus=self.status(),
            EVMaximumCurrentLimit=self.pv(profile.charge_max_a, "A"),
            EVMaximumPowerLimit=self.pv(profile.charge_max_w, "W"),
            EVMaximumVoltageLimit=self.pv(car.voltage_max_v, "V"),
            EVEnergyCapacity=self.pv(car.battery.capacity_wh, "Wh"),
            EVEnergyRequest=self.pv(max(0.0, car.wh_to(profile.target_soc_pct)), "Wh"),
        )

    def power_delivery(self, progress: Any) -> Complex:
        plan = None
        if progress == "Start":
            entry = m.ProfileEntry(
                ChargingProfileEntryStart=0,
                ChargingProfileEntryMaxPower=self.pmax_w,
            )
            plan = m.ChargingProfile(
                SAScheduleTupleID=self.tuple_id, ProfileEntry=[entry]
            )
        return m.PowerDeliveryReq(
            ReadyToChargeState=progress == "Start",
            ChargingProfile=plan,
            EVPowerDeliveryParameter=m.DC_EVPowerDeliveryParameter(
                DC_EVStatus=self.status(), ChargingComplete=self.car.full
            ),
        )

    def session_stop(self, how: Any) -> Complex:
        return m.SessionStop()
