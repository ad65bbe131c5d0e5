"""The vehicle's way through an ISO 15118-20 session, as a script. Pure.

Owns the order of a session and what is agreed before power flows.
"""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118.messages import ac, common, dc
from hil.ev.iso15118 import iso20_words as words
from hil.ev.iso15118 import script as s
from hil.ev.iso15118.iso20_power import SERVICE, Iso20Power
from hil.ev.iso15118.iso20_words import number
from hil.ev.iso15118.script import PAUSE, RENEW, EvError, Script

SERVICE_IDS = {"AC": 1, "DC": 2, "AC_BPT": 5, "DC_BPT": 6}  # refs 4.5
CONTROL_MODES = {"scheduled": 1, "dynamic": 2}


class Iso20Script(Iso20Power):
    """One session by external means (card, remote start)."""

    # -- the frame ------------------------------------------------------------------

    def course(self) -> Script:
        joined = yield from self._session_setup()
        if not joined:
            yield from self.authorise()
        while True:
            yield from self._choose()
            why = yield from self._transfer()
            if why != SERVICE:
                break
            yield from self.goodbye("ServiceRenegotiation")
        yield from self.goodbye("Pause" if why == PAUSE else "Terminate")
        self.paused = why == PAUSE

    def _transfer(self) -> Script:
        """One service from its parameters to a dead outlet; why it ended."""
        yield from self._parameters()
        yield from self._schedule()
        if self.dc:
            yield from self.energise()
        yield from self.deliver("Start")
        while True:
            why = yield from self.dc_loop() if self.dc else self.ac_loop()
            if why != RENEW:
                break
            yield from self.deliver("ScheduleRenegotiation")
            yield from self._schedule()
            yield from self.deliver("Start")
        yield from self.deliver("Stop")
        if self.dc:
            yield from s.open_contactor(self.car)
            yield from self.weld_check()
        self.car.off()
        return why

    def goodbye(self, how: Any) -> Script:
        yield from self.say(common.SessionStopReq, ChargingSession=how)

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

        def ask() -> Script:
            response = yield from self.say(common.AuthorizationReq, **fields)
            code = response.ResponseCode
            if code.startswith("WARNING"):
                raise EvError(f"AuthorizationRes: {code}", said=True)
            return response

        yield from self.until_finished(ask, s.AUTHORISE_S, "Authorization")

    def _choose(self) -> Script:
        """The best of the wanted services, in the wanted control mode."""
        response = yield from self.say(common.ServiceDiscoveryReq)
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
        response = yield from self.until_finished(
            lambda: self.say(
                common.ScheduleExchangeReq,
                MaximumSupportingPoints=24,
                **words.plan(self.car, dynamic=self.dynamic, both=self.both),
            ),
            s.ONGOING_S,
            "ScheduleExchange",
        )
        offered = response.Scheduled_SEResControlMode
        if offered is not None:
            self._take(offered.ScheduleTuple[0])

    def _take(self, schedule: common.ScheduleTuple) -> None:
        """The first schedule; its powers are the frame of ours."""
        self.tuple_id = schedule.ScheduleTupleID
        plan = schedule.ChargingSchedule.PowerSchedule.PowerScheduleEntries
        powers = [number(each.Power) or 0.0 for each in plan.PowerScheduleEntry]
        self.station["schedule_w"] = powers
