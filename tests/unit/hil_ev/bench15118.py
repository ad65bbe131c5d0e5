"""Our EVCC and the product's SECC with a battery between; time is the test's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from chargerd.model import (
    CertificateAnswer,
    CertificateQuestion,
    VehicleState,
)
from chargerd.vehicle.iso15118 import sap
from chargerd.vehicle.iso15118.secc.connection import Connection
from chargerd.vehicle.iso15118.secc.din import DinSession
from chargerd.vehicle.iso15118.secc.flow import Session
from chargerd.vehicle.iso15118.secc.iso2 import Iso2Session
from chargerd.vehicle.iso15118.secc.iso20 import Iso20Session
from chargerd.vehicle.iso15118.secc.station import Energy, Setup
from firmware_bridge.api import PilotState
from hil.ev.base import Given, Seen
from hil.ev.battery import Battery
from hil.ev.iso15118.car import Car
from hil.ev.iso15118.evcc import Evcc
from hil.ev.iso15118.profile import Profile
from hil.ev.iso15118.speakers import offers, speaker
from hil.ev.iso15118.wallet import Wallet
from tests.unit.vehicle_iso.secc.plant import SETUP, Plant

STEP_S = 0.01
PROTOCOLS = (sap.DIN, sap.ISO2, sap.ISO20_DC, sap.ISO20_AC)
SESSION_ID = bytes.fromhex("1122334455667788")
AC_W = 11_000.0
ENERGIES = (Energy.DC_BPT, Energy.AC_BPT, Energy.DC, Energy.AC)


def random_bytes(size: int) -> bytes:
    return (SESSION_ID * 2)[:size]


@dataclass
class Outlet(ABC):
    """A station's outlet with a session behind it, and a battery in front of it."""

    profile: Profile
    setup: Setup = field(default_factory=lambda: replace(SETUP, energies=ENERGIES))
    mutual: bool = True  # TLS 1.3 with certificates
    soc_pct: float = 50.0
    capacity_wh: float = 40_000.0
    plant: Plant = field(init=False)
    secc: Connection = field(init=False)
    setpoint_w: float = 6_000.0  # of AC
    duty: float = 0.05
    last: Session | None = None
    wallet: Wallet | None = None
    answer: Callable[[CertificateQuestion], bytes] | None = None  # the central system
    installed: CertificateAnswer | None = None

    def __post_init__(self) -> None:
        self.plant = Plant(setup=self.setup)
        self.accept()

    @property
    @abstractmethod
    def battery(self) -> Battery: ...

    def accept(self) -> None:
        """A new connection of the vehicle."""
        self.secc = Connection(
            PROTOCOLS,
            self._session,
            mutual_tls_1_3=self.mutual,
            now_mono=self.plant.now,
        )

    def _session(self, protocol: sap.Protocol, now_mono: float) -> Session:
        paused: Any = self.last.paused() if self.last is not None else None
        if protocol == sap.DIN:
            self.last = DinSession(self.setup, random_bytes)
        elif protocol == sap.ISO2:
            self.last = Iso2Session(
                self.setup, random_bytes, tls=self.mutual, paused=paused
            )
        else:
            self.last = Iso20Session(self.setup, random_bytes, now_mono, paused=paused)
        return self.last

    @property
    def state(self) -> VehicleState:
        return self.secc.state()

    def seen(self, wanted_w: float) -> Seen:
        """What the vehicle sees; `wanted_w` is what its charger wants on AC."""
        plant = self.plant
        live = plant.pilot is PilotState.C and self.state.demand.close_ac
        return Seen(
            pilot_duty=self.duty,
            locked=plant.locked,
            dc_voltage_v=plant.stage_v,
            dc_current_a=plant.current_a,
            ac_live=live,
            ac_power_w=wanted_w if live else 0.0,
        )

    def show(self, given: Given) -> None:
        """What the vehicle shows the connector."""
        self.plant.battery_v = self.battery.emf_v
        self.plant.pilot = PilotState(given.pilot_state)
        self.plant.ev_closed = given.contactor_closed

    def tick(self) -> None:
        """The station's hardware moves, and tells the session."""
        plant = self.plant
        offer = replace(
            plant.step(self.state, STEP_S),
            charge_w=AC_W,
            discharge_w=-AC_W,
            setpoint_w=self.setpoint_w,
            **self._central_system(),
        )
        self.secc.command(offer, plant.now)
        if plant.pilot is PilotState.A and not self.secc.closing:
            self.secc.unplugged(plant.now)  # as the door does
        self.secc.on_timer(plant.now)

    def _central_system(self) -> dict[str, Any]:
        """Says yes to a contract that was proved, and answers certificate questions."""
        question = self.state.certificate_question
        if self.answer is not None and question is not None:
            exi = self.answer(question)
            self.installed = CertificateAnswer(question.number, exi)
        self.plant.energise = self.wallet is None or self.state.contract is not None
        return {
            "certificate_service": self.answer is not None,
            "certificate_answer": self.installed,
        }

    @abstractmethod
    def step(self) -> None: ...

    def run(
        self, seconds: float, done: Callable[[], bool] = lambda: False
    ) -> VehicleState:
        for _ in range(round(seconds / STEP_S)):
            if done():
                break
            self.step()
        return self.state


@dataclass
class Bench(Outlet):
    """The sans-I/O vehicle at the outlet: bytes go from hand to hand."""

    car: Car = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.car = Car(Battery(self.soc_pct, self.capacity_wh), self.profile)
        self.car.active |= set(self.profile.misbehave)
        self.connect()

    @property
    def battery(self) -> Battery:
        return self.car.battery

    def connect(self, session_id: bytes = bytes(8)) -> None:
        """A new connection of the same vehicle."""
        self.accept()
        self.car.now_s = self.plant.now
        self.evcc = Evcc(
            self.car,
            offers(self.profile, tls=self.mutual),
            lambda protocol: speaker(
                protocol, self.car, wallet=self.wallet, session_id=session_id
            ),
        )
        self.gone = False

    def step(self) -> None:
        now = self.plant.now + STEP_S
        self.show(self.car.step(now, STEP_S, self.seen(self.car.ac_w)))
        for segment in self.evcc.step():
            self.secc.receive(segment, now)
        self.tick()
        self.evcc.receive(self.secc.to_send(now))
        if (self.secc.closing or self.evcc.closing) and not self.gone:
            self.gone = True
            self.evcc.lost(f"the station closed: {self.secc.why}")
            self.secc.disconnected(now)

    def to_energy(self, seconds: float = 30.0) -> VehicleState:
        """Until the vehicle is in its charge loop."""
        state = self.run(seconds, self.looping)
        if not self.looping():
            why = self.evcc.why or self.evcc.last_request
            raise AssertionError(f"no energy: {why}")
        return state

    def looping(self) -> bool:
        speaks = self.evcc.speaker
        return speaks is not None and speaks.started_s is not None

    def leave(self) -> VehicleState:
        """The driver ends the session; it ends in order."""
        self.car.leaves = True
        return self.run(20.0, lambda: self.gone)
