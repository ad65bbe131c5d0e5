"""A vehicle of DIN 70121, on the good way through its session."""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118.messages import din as m
from chargerd.vehicle.iso15118.secc.din import DinSession
from chargerd.vehicle.iso15118.secc.station import Setup
from tests.unit.vehicle_iso.secc.ev2 import SESSION_ID, Stand
from tests.unit.vehicle_iso.secc.plant import SETUP, Plant


def select(
    payment: m.PaymentOption = "ExternalPayment", *services: int
) -> m.ServicePaymentSelectionReq:
    return m.ServicePaymentSelectionReq(
        SelectedPaymentOption=payment,
        SelectedServiceList=m.SelectedServiceList(
            SelectedService=[m.SelectedService(ServiceID=s) for s in services or (1,)]
        ),
    )


def power(
    ready: bool, *, schedule: int = 1, top_w: int | None = 10_000
) -> m.PowerDeliveryReq:
    profile = None
    if ready and top_w is not None:
        entry = m.ProfileEntry(
            ChargingProfileEntryStart=0, ChargingProfileEntryMaxPower=top_w
        )
        profile = m.ChargingProfile(SAScheduleTupleID=schedule, ProfileEntry=[entry])
    return m.PowerDeliveryReq(ReadyToChargeState=ready, ChargingProfile=profile)


class DinCar(Stand):
    """The way through a DIN 70121 session, state by state."""

    def __init__(self, setup: Setup = SETUP) -> None:
        session = DinSession(setup, lambda size: (SESSION_ID * 2)[:size])
        super().__init__(session, Plant(setup=setup))

    def parameters(self, mode: Any = "DC_extended", told: Any = None) -> Any:
        return m.ChargeParameterDiscoveryReq(
            EVRequestedEnergyTransferType=mode,
            EVChargeParameter=told or self.dc_parameters(),
        )

    def to(self, at: str) -> None:
        """Go the good way from where the session is until it is at `at`."""
        way: list[tuple[str, Any]] = [
            ("setup", lambda: self.say(self.setup())),
            ("discovery", lambda: self.say(m.ServiceDiscoveryReq())),
            ("selection", lambda: self.say(select())),
            ("authorization", lambda: self.say(m.ContractAuthenticationReq())),
            ("parameters", lambda: self.say(self.parameters())),
            ("cable_check", self.check_cable),
            ("precharge", lambda: self.say(self.precharge())),
            ("power", self._start),
            ("current_demand", lambda: self.say(power(False))),
            ("welding", lambda: None),
        ]
        for state, act in way:
            if self.session.at == at:
                return
            if self.session.at == state:
                act()
        assert self.session.at == at

    def _start(self) -> None:
        self.match()
        started = self.say(power(True))  # said also under python -O
        assert started.ResponseCode == "OK"
        self.run(0.3)
