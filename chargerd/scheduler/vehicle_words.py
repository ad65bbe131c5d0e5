"""What a vehicle that talks is told beyond power: certificates, schedule, promise.

Holds the central system's answers to it until its door takes them.
"""

from __future__ import annotations

from dataclasses import replace

from chargerd.evse import session
from chargerd.model import (
    CertificateAnswer,
    CertificateAsk,
    EnergySchedule,
    Request,
    VehicleCertificate,
    VehicleOffer,
    VehicleSchedule,
    VehicleState,
)
from chargerd.scheduler import tariff
from chargerd.scheduler.surroundings import Surroundings
from chargerd.scheduler.terms import Unit


class VehicleWords:
    def __init__(self, evse_id: int) -> None:
        self._evse_id = evse_id
        self._asked_number: int | None = None  # of the last certificate question
        self._answer: CertificateAnswer | None = None
        self._central: EnergySchedule | None = None  # of this session
        self._awaited_mono = 0.0

    def hear(
        self,
        vehicle: VehicleState,
        requests: tuple[Request, ...],
        unit: Unit,
        around: Surroundings,
    ) -> tuple[CertificateAsk, ...]:
        """Once a tick: what came for the vehicle, and what it asks of the CSMS."""
        for request in requests:
            if isinstance(request, VehicleCertificate):
                self._answer = request.answer
            elif isinstance(request, VehicleSchedule):
                self._frame(request, unit, around)
        question = vehicle.certificate_question
        if question is None:
            self._asked_number = None
            return ()
        if question.number == self._asked_number:
            return ()
        self._asked_number, self._answer = question.number, None
        return (CertificateAsk(self._evse_id, question),)

    def _frame(self, told: VehicleSchedule, unit: Unit, around: Surroundings) -> None:
        """The central system's schedule, inside what EVSE and site have. The owner's
        prices hold where it has sent none."""
        self._awaited_mono = told.awaited_until_mono
        self._central = told.schedule and tariff.inside(
            told.schedule,
            min(unit.charge_w, around.site.import_limit_w),
            max(-unit.discharge_w, around.site.export_limit_w),
        )

    def tell(
        self, offer: VehicleOffer, state: session.State, around: Surroundings
    ) -> VehicleOffer:
        """The offer with all that the vehicle may know beside it."""
        wish = state.session.promise
        return replace(
            offer,
            contract_refused=state.shown.refused,
            certificate_service=around.certificate_service,
            certificate_answer=self._answer,
            schedule=self._central or around.schedule,
            schedule_awaited=self._awaited_mono > offer.at_mono,
            promise=None if wish is not None and wish.by_vehicle else wish,
            both_ways=state.session.discharge_authorised,
        )
