"""Builds every functional block once, and says in which order they are told of things.

Owns the wiring between blocks. A new block goes into one of the tuples below; it gets a
name only when the station calls it directly.
"""

from __future__ import annotations

from chargerd.ocpp.blocks.auth_cache import AuthCache
from chargerd.ocpp.blocks.authorization import Authorization
from chargerd.ocpp.blocks.availability import Availability
from chargerd.ocpp.blocks.block import Block
from chargerd.ocpp.blocks.cardless import Cardless
from chargerd.ocpp.blocks.certificate_status import CertificateStatus
from chargerd.ocpp.blocks.certificates import Certificates
from chargerd.ocpp.blocks.certification import Certification
from chargerd.ocpp.blocks.chain_status import ChainStatus
from chargerd.ocpp.blocks.charging_needs import ChargingNeeds
from chargerd.ocpp.blocks.costs import Costs
from chargerd.ocpp.blocks.customer import Customer
from chargerd.ocpp.blocks.data_transfer import DataTransfer
from chargerd.ocpp.blocks.der import DerControl
from chargerd.ocpp.blocks.desk import Desk
from chargerd.ocpp.blocks.display import Display
from chargerd.ocpp.blocks.driver_texts import DriverTexts
from chargerd.ocpp.blocks.dynamic_profiles import DynamicProfiles
from chargerd.ocpp.blocks.external_limits import ExternalLimits
from chargerd.ocpp.blocks.fault_events import FaultEvents
from chargerd.ocpp.blocks.firmware import Firmware
from chargerd.ocpp.blocks.local_list import LocalList
from chargerd.ocpp.blocks.logs import Logs
from chargerd.ocpp.blocks.monitor_store import MonitorStore
from chargerd.ocpp.blocks.monitoring import Monitoring
from chargerd.ocpp.blocks.monitoring_report import MonitoringReport
from chargerd.ocpp.blocks.network import NetworkProfiles
from chargerd.ocpp.blocks.network_settings import NetworkSettings
from chargerd.ocpp.blocks.payment import Payments
from chargerd.ocpp.blocks.plug_and_charge import EvCertificates
from chargerd.ocpp.blocks.priority_charging import PriorityCharging
from chargerd.ocpp.blocks.profile_store import ProfileStore
from chargerd.ocpp.blocks.provisioning import Provisioning
from chargerd.ocpp.blocks.readings import Readings
from chargerd.ocpp.blocks.remote_control import RemoteControl
from chargerd.ocpp.blocks.renewal import Renewal
from chargerd.ocpp.blocks.reservation import Reservations
from chargerd.ocpp.blocks.reset import Reset
from chargerd.ocpp.blocks.resuming import Resuming
from chargerd.ocpp.blocks.running_cost import RunningCost
from chargerd.ocpp.blocks.sampling import Sampling
from chargerd.ocpp.blocks.security import Security
from chargerd.ocpp.blocks.smart_charging import SmartCharging
from chargerd.ocpp.blocks.streams import EventStreams
from chargerd.ocpp.blocks.tariffs import Tariffs
from chargerd.ocpp.blocks.transactions import Transactions
from chargerd.ocpp.blocks.trigger import TriggerMessages
from chargerd.ocpp.blocks.v2x_external import ExternalValues
from chargerd.ocpp.blocks.v2x_permission import EnergyTransfers
from chargerd.ocpp.blocks.v2x_vehicle import ConnectedVehicle
from chargerd.ocpp.blocks.variables import Variables
from chargerd.ocpp.blocks.vehicle_schedules import VehicleSchedules
from chargerd.ocpp.blocks.web_payment import WebPayment


class Parts:
    """The blocks of one station."""

    def __init__(self, desk: Desk, boot_reason: str) -> None:
        """Raises OcppError for an address in the config file that is refused."""
        self._store = ProfileStore(desk)
        self._readings = Readings(desk)
        self.network = NetworkProfiles(desk)
        self.provisioning = Provisioning(desk, self.network, boot_reason)
        self._cache = AuthCache(desk)
        self.local_list = LocalList(desk)
        self._reservations = Reservations(desk)
        self._tariffs = Tariffs(desk, self._cache)
        self._driver_texts = DriverTexts(desk, self._tariffs)
        self._costs = Costs(desk, self._tariffs, self._driver_texts)
        self.authorization = Authorization(
            desk,
            self._cache,
            self.local_list,
            self._reservations,
            self._tariffs,
            self._driver_texts,
        )
        self.ev_certificates = EvCertificates(desk)
        self.certificates = Certificates(desk, self.network)
        self.security = Security(desk)
        self.chain_status = ChainStatus(desk)
        self.faults = FaultEvents(desk)
        self.availability = Availability(desk, self.faults)
        self.charging = SmartCharging(desk, self._store)
        self.priority = PriorityCharging(desk, self._store, self.charging.refresh)
        self.transactions = Transactions(
            desk, self.charging, self._cache, self._readings, self._costs,
            self._driver_texts,
        )  # fmt: skip
        self.web_payment = WebPayment(desk, self.transactions)
        self.display, self.payments, self.running_cost = self._customers(desk)
        self.resuming = Resuming(
            desk,
            self.transactions,
            self.charging,
            self._readings,
            self.authorization,
            self.provisioning.reason,
        )
        self._firmware = Firmware(desk, self.availability)
        self._reset = Reset(
            desk, self.availability, self.resuming, self._firmware.blocks_reset
        )
        self._variables = Variables(desk)
        self._trigger = TriggerMessages(desk)
        # In this order they are told of anything; those before see it first.
        self.in_order: tuple[Block, ...] = (
            *self._station(desk),
            *self._sessions(desk),
            *self._power(desk),
            *self._control(desk),
            *self._upkeep(desk),
        )
        self._variables.attach(self.in_order)
        self._trigger.attach(self.in_order)

    def _customers(self, desk: Desk) -> tuple[Display, Payments, RunningCost]:
        """Blocks I and O, and the payments of C."""
        texts, transactions = self._driver_texts, self.transactions
        return (
            Display(desk, transactions, texts, self.web_payment),
            Payments(desk, self.authorization, transactions, self._costs, texts),
            RunningCost(desk, self._tariffs, self._costs, transactions),
        )

    def _station(self, desk: Desk) -> tuple[Block, ...]:
        """Blocks A, B, C, D, G, H and M."""
        certificates = self.certificates
        return (
            certificates,  # before a link is of another profile
            self.network,
            NetworkSettings(desk, self.network, certificates.lacks),
            self.security,
            Renewal(desk, certificates),
            CertificateStatus(desk, certificates),
            self.chain_status,
            self.provisioning,
            self._variables,
            self._cache,
            self.local_list,
            self.authorization,
            self._reservations,  # before availability tells the status
            self.faults,
            self.availability,
        )

    def _sessions(self, desk: Desk) -> tuple[Block, ...]:
        """Blocks E, I, J and O."""
        return (
            self._tariffs,
            self.resuming,
            self.transactions,
            self._driver_texts,  # after the end of a transaction
            self.running_cost,
            self.web_payment,
            self.payments,
            self.display,
            self._reset,
            Sampling(desk, self.transactions, self._readings),
        )

    def _power(self, desk: Desk) -> tuple[Block, ...]:
        """Blocks K, Q and R."""
        store, refresh = self._store, self.charging.refresh
        schedules = VehicleSchedules(desk, store, self.charging)
        return (
            self.charging,
            DynamicProfiles(desk, store, refresh),
            self.priority,
            ExternalValues(desk, store, refresh),
            ChargingNeeds(desk, schedules),
            schedules,
            ExternalLimits(desk, store, refresh, self.transactions.rate_changed),
            EnergyTransfers(desk),
            ConnectedVehicle(desk),
            Certification(desk),
            DerControl(desk),
        )

    def _control(self, desk: Desk) -> tuple[Block, ...]:
        """Block F."""
        return (
            Cardless(desk, self._reservations, self.transactions),
            RemoteControl(
                desk,
                self.transactions,
                self.charging,
                self._reservations,
                self.authorization,
            ),
            self._trigger,
        )

    def _upkeep(self, desk: Desk) -> tuple[Block, ...]:
        """Blocks L, N and P: last, so that what is watched is up to date."""
        store = MonitorStore(desk)
        streams = EventStreams(desk, store)
        return (
            Monitoring(desk, store, streams, self._variables, self.faults),
            streams,  # what is due at the same instant is in
            MonitoringReport(desk, store),
            self._firmware,
            Logs(desk, self._variables),
            Customer(desk, self._cache, self.local_list),
            DataTransfer(desk),
        )
