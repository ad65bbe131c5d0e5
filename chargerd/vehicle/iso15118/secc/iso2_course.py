"""What an ISO 15118-2 session remembers, and the answers that wait for somebody.

Owns what the session's modules share: services, contract, the agreed schedule. Handles
no message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, ClassVar

from chargerd.model import Contract, EnergySchedule
from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.messages.declare import Complex
from chargerd.vehicle.iso15118.secc import iso2_dc as dc
from chargerd.vehicle.iso15118.secc import iso2_schedule as schedules
from chargerd.vehicle.iso15118.secc.ac_path import AcPath
from chargerd.vehicle.iso15118.secc.flow import (
    NEVER,
    TIMES_2,
    Answer,
    RandomBytes,
    Times,
)
from chargerd.vehicle.iso15118.secc.iso2_base import TwoSession
from chargerd.vehicle.iso15118.secc.iso2_graph import GRAPH
from chargerd.vehicle.iso15118.secc.station import Authorise, Energy, Setup
from chargerd.vehicle.iso15118.signature import PublicKey

AC_MODES = {1: ("AC_single_phase_core",), 3: ("AC_three_phase_core",)}
CHARGE_SERVICE, CERTIFICATE_SERVICE = 1, 2  # [V2G2] Table 105
QUESTION_S = 4.0  # the central system's time for a certificate; ours is 4.5
DIFFERS_S = 5.0  # ours: a schedule that changed for so long is negotiated again
_LOOPS = ("current_demand", "charging")


@dataclass(frozen=True, slots=True)
class Paused:
    """What a session that paused leaves for the one that resumes it, [V2G2-741]."""

    id: bytes
    payment: str
    mode: str
    schedule_id: int


class Iso2Course(TwoSession):
    """The memory of one session; iso2.py makes it a session.

    `tls`: the connection is TLS; without it no contract is offered [V2G2-633].
    `paused`: what this connector's last session left when it paused.
    """

    protocol = "iso15118-2"
    messages: ClassVar[ModuleType] = m
    graph = GRAPH

    def __init__(
        self,
        setup: Setup,
        random: RandomBytes,
        *,
        times: Times = TIMES_2,
        tls: bool = False,
        paused: Paused | None = None,
    ) -> None:
        self.tls = tls
        self.payment = ""
        self.offered: tuple[int, ...] = ()  # services beside charging
        self.chosen: frozenset[int] = frozenset()
        self.raw = b""  # the request as it was received
        # Plug & Charge: what was presented counts when its key is proved.
        self.presented: Contract | None = None
        self.key: PublicKey | None = None
        self.challenge = b""
        self.told: m.MeterInfo | None = None  # a receipt is asked for this
        self.receipt_mono = -NEVER
        # The schedule: what was offered last, and since when it holds no more.
        self.plan: schedules.Plan | None = None  # agreed on, or the first on offer
        self.plans: tuple[schedules.Plan, ...] = ()  # on offer, by their tuples' ids
        self.asked = 0  # how often the vehicle has asked for a schedule
        self.asking = False  # its question is open
        self.asked_by_station = False  # the last time because we wanted it
        self._judged: EnergySchedule | None = None
        self._same = True
        self._differs_mono = NEVER
        self.before = paused
        self.joined: Paused | None = None  # taken up again: payment and mode stay
        self.left: Paused | None = None  # set by SessionStop(Pause)
        super().__init__(setup, random, times=times)

    def paused(self) -> Paused | None:
        return self.left

    # -- answers that wait ----------------------------------------------------------

    def request(self, message: Complex, now_mono: float, raw: bytes = b"") -> Answer:
        self.raw, self.question = raw, None
        answer = super().request(message, now_mono, raw)
        if self.question is None:
            return answer
        return replace(answer, message=None, open=True, hold_s=QUESTION_S)

    def may_send(self, now_mono: float) -> bool:
        """A certificate question is answered when the central system has spoken."""
        if self.question is None:
            return super().may_send(now_mono)
        told = self._offer.certificate_answer
        return told is not None and told.number == self.question.number

    def late(self, now_mono: float) -> Answer:
        """The central system's answer unchanged; without one the vehicle is told so,
        and may still show the contract it has [V2G2-557], [V2G2-558]."""
        self._look(now_mono)
        question, self.question = self.question, None
        if question is None:
            return Answer(None, close=True)
        kind = (
            m.CertificateUpdateRes if question.update else m.CertificateInstallationRes
        )
        name = kind.__name__.replace("Res", "Req")
        within_s = self.times.answer(name)
        told = self._offer.certificate_answer
        if told is None or told.number != question.number:
            code = "FAILED"
        elif told.exi is None or not _is(kind, told.exi):
            code = "FAILED_NoCertificateAvailable"
        else:
            return Answer(None, request=name, within_s=within_s, raw=told.exi)
        message = self._wrap(self.answers[name](self, code))
        return Answer(message, request=name, within_s=within_s)

    def _over(self) -> None:
        self.question = None
        super()._over()

    # -- the schedule ---------------------------------------------------------------

    @property
    def top_w(self) -> float:
        """What the connector can at most."""
        ratings = self.setup.ratings
        if isinstance(self.path, AcPath):
            return ratings.ac_phases * ratings.ac_phase_v * ratings.ac_max_a
        return ratings.charge_max_w

    @property
    def priced(self) -> bool:
        """Prices are told to vehicles with external payment: a contract wants them
        signed by its operator, and we have no such signature."""
        return self.payment != "Contract"

    def make_plan(self, most: int | None) -> None:
        """What ChargeParameterDiscovery offers now."""
        told = self._offer.schedule
        options = [told, *(told.others[:2] if told is not None else ())]
        now_mono = self.view.now_mono
        self.plans = tuple(
            schedules.plan(one, self.top_w, now_mono, most) for one in options
        )
        self.choose(1)

    def choose(self, number: int) -> bool:
        """The vehicle takes the tuple of this id; False: there is none."""
        if not 0 < number <= len(self.plans):
            return False
        self.schedule_id, self.plan = number, self.plans[number - 1]
        self._judged, self._same = self._offered, True
        self._differs_mono = NEVER
        return True

    @property
    def _offered(self) -> EnergySchedule | None:
        """What the station offers now in the place of the chosen one."""
        told = self._offer.schedule
        return None if told is None else told.option(self.schedule_id - 1)

    @property
    def notification(self) -> str:
        """A stop comes first; a schedule that holds no more is negotiated again."""
        if self.stop_wanted:
            return "StopCharging"
        differs_s = self.view.now_mono - self._differs_mono
        again = self.at in _LOOPS and differs_s >= DIFFERS_S
        return "ReNegotiation" if again else "None"

    def _look(self, now_mono: float) -> None:
        super()._look(now_mono)
        if self.plan is None:
            return
        if self._offered is not self._judged:
            self._judged = self._offered
            newest = schedules.plan(self._judged, self.top_w, now_mono, None)
            self._same = schedules.same(
                self.plan, newest, self.top_w, tariff=self.priced
            )
        if self._same and now_mono - self.plan.at_mono < self.plan.end_s:
            self._differs_mono = NEVER
        else:
            self._differs_mono = min(self._differs_mono, now_mono)


def _is(kind: type[Complex], data: bytes) -> bool:
    """Whether these bytes are such a response; nothing else reaches the vehicle."""
    try:
        message = exi.decode("iso2", data)
    except V2gError:
        return False
    body = message.Body if isinstance(message, m.V2G_Message) else None
    return body is not None and isinstance(body.BodyElement, kind)


# --- what is on offer -----------------------------------------------------------------


def modes(session: Iso2Course) -> list[Any]:
    """EnergyTransferModes on offer; a session that is taken up again keeps its own
    [V2G2-741]."""
    setup, kept = session.setup, session.joined
    modes: list[Any] = []
    for energy in setup.energies:
        if energy is Energy.DC:
            modes.extend(dc.DC_MODES)
        elif energy is Energy.AC:
            modes.extend(AC_MODES.get(setup.ratings.ac_phases, ()))
    return [mode for mode in modes if kept is None or kept.mode in ("", mode)]


def payments(session: Iso2Course) -> list[m.PaymentOption]:
    """Ways to pay on offer; a contract only over TLS [V2G2-633] to [V2G2-635]. A
    session that is taken up again keeps its own [V2G2-741]."""
    setup, kept, options = session.setup, session.joined, list[m.PaymentOption]()
    for way in setup.authorise:
        if way is Authorise.EIM:
            options.append("ExternalPayment")
        elif session.tls and setup.trust is not None:
            options.append("Contract")
    return [way for way in options if kept is None or kept.payment in ("", way)]


def said(code: str) -> m.ResponseCode:
    return code  # type: ignore[return-value]  # the tests hold every code to the schema


def processing(session: Iso2Course) -> m.EVSEProcessing:
    return "Ongoing" if session.processing == "Ongoing" else "Finished"
