"""A vehicle of ISO 15118-2, on the good way through its session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chargerd.vehicle.iso15118 import exi, signature
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.secc.iso2 import Iso2Session
from chargerd.vehicle.iso15118.secc.station import Authorise, Setup
from firmware_bridge.api import PilotState
from hil.pki.make import Chain, Pki
from hil.pki.profiles import EMAID
from tests.unit.vehicle_iso.secc.ev2 import SESSION_ID, Stand
from tests.unit.vehicle_iso.secc.plant import SETUP, TICK_S, Plant


def select(payment: Any = "ExternalPayment", *services: int) -> Any:
    return m.PaymentServiceSelectionReq(
        SelectedPaymentOption=payment,
        SelectedServiceList=m.SelectedServiceList(
            SelectedService=[m.SelectedService(ServiceID=s) for s in services or (1,)]
        ),
    )


def power(
    progress: Any, *, schedule: int = 1, top_w: float | None = 10_000.0
) -> m.PowerDeliveryReq:
    profile = None
    if top_w is not None:
        entry = m.ProfileEntry(
            ChargingProfileEntryStart=0,
            ChargingProfileEntryMaxPower=Car.watts(top_w),
        )
        profile = m.ChargingProfile(ProfileEntry=[entry])
    return m.PowerDeliveryReq(
        ChargeProgress=progress, SAScheduleTupleID=schedule, ChargingProfile=profile
    )


class Car(Stand):
    """The way through an ISO 15118-2 session, state by state."""

    def __init__(self, setup: Setup = SETUP, **more: Any) -> None:
        session = Iso2Session(setup, lambda size: (SESSION_ID * 2)[:size], **more)
        super().__init__(session, Plant(setup=setup))

    @staticmethod
    def watts(value: float) -> m.PhysicalValue:
        return m.PhysicalValue(Multiplier=1, Unit="W", Value=round(value / 10.0))

    def parameters(self, mode: Any = "DC_extended", **more: Any) -> Any:
        return m.ChargeParameterDiscoveryReq(
            RequestedEnergyTransferMode=mode,
            EVChargeParameter=more.get("told") or self.dc_parameters(),
        )

    def ac_parameters(self, mode: Any = "AC_three_phase_core", **more: float) -> Any:
        values = {"EVMaxVoltage": 250.0, "EVMaxCurrent": 16.0, "EVMinCurrent": 6.0}
        values.update(more)
        told = m.AC_EVChargeParameter(
            DepartureTime=7_200,
            EAmount=self.pv(20_000.0, "Wh"),
            EVMaxVoltage=self.pv(values["EVMaxVoltage"], "V"),
            EVMaxCurrent=self.pv(values["EVMaxCurrent"], "A"),
            EVMinCurrent=self.pv(values["EVMinCurrent"], "A"),
        )
        return self.parameters(mode, told=told)

    def to(self, at: str) -> None:
        """Go the good way from where the session is until it is at `at`."""
        way: list[tuple[str, Any]] = [
            ("setup", lambda: self.say(self.setup())),
            ("discovery", lambda: self.say(m.ServiceDiscoveryReq())),
            ("selection", lambda: self.say(select())),
            ("authorization", lambda: self.say(m.AuthorizationReq())),
            ("parameters", lambda: self.say(self.parameters())),
            ("cable_check", self.check_cable),
            ("precharge", lambda: self.say(self.precharge())),
            ("power", self._start),
            ("current_demand", lambda: self.say(power("Stop"))),
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
        started = self.say(power("Start"))  # said also under python -O
        assert started.ResponseCode == "OK"
        self.run(0.3)

    def to_charging(self) -> None:
        """The same for AC."""
        self.to("parameters")
        self.say(self.ac_parameters())
        self.run(0.1)
        parameters = self.say(self.ac_parameters())
        assert parameters.EVSEProcessing == "Finished"
        self.plant.pilot = PilotState.C
        self.run(TICK_S)
        started = self.say(power("Start"))  # said also under python -O
        assert started.ResponseCode == "OK"
        self.run(0.1)
        assert self.session.at == "charging"


class ContractCar(Car):
    """A vehicle with a contract, over TLS, at a station that takes contracts."""

    def __init__(self, pki: Pki, setup: Setup = SETUP, **more: Any) -> None:
        trust = Trust(
            mo_roots=(pki.contract.root.certificate,),
            oem_roots=(pki.oem.root.certificate,),
        )
        setup = replace(setup, authorise=(Authorise.PNC, Authorise.EIM), trust=trust)
        super().__init__(setup, **{"tls": True, **more})
        self.pki = pki
        self.challenge = b""

    def chain(self, chain: Chain | None = None) -> m.CertificateChain:
        chain = chain or self.pki.contract
        subs = list(chain.subs_der)
        return m.CertificateChain(
            Certificate=chain.leaf.der,
            SubCertificates=m.SubCertificates(Certificate=subs) if subs else None,
        )

    def details(self, chain: Chain | None = None, emaid: str = EMAID) -> Any:
        return m.PaymentDetailsReq(
            eMAID=emaid, ContractSignatureCertChain=self.chain(chain)
        )

    def say_signed(self, body: Any, chain: Chain | None = None) -> Any:
        """One request, signed with the chain's key (the contract's)."""
        fragment = exi.encode_fragment("iso2", type(body).__name__, body)
        key = (chain or self.pki.contract).leaf.key
        seal = signature.sign({body.Id: fragment}, key, signature.ISO2)
        return self.say(body, Signature=seal)

    def authorization(self, challenge: bytes | None = None) -> Any:
        told = self.challenge if challenge is None else challenge
        return m.AuthorizationReq(Id="id1", GenChallenge=told)

    def to_contract(self) -> None:
        """Until the contract is selected."""
        self.to("selection")
        self.say(select("Contract"))
        assert self.session.at == "contract"

    def to_proof(self) -> None:
        """Until the key is to be proved."""
        self.to_contract()
        response = self.say(self.details())
        self.challenge = response.GenChallenge
        assert self.session.at == "authorization"
