"""Which worker carries out which task."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chargerd.config import Config
from chargerd.ocpp.jobs import samples
from chargerd.ocpp.jobs.certificate_worker import CertificateWorker
from chargerd.ocpp.jobs.certificates import TASKS
from chargerd.ocpp.jobs.firmware import TASKS as FIRMWARE_TASKS
from chargerd.ocpp.jobs.firmware import FirmwareWorker
from chargerd.ocpp.jobs.logs import LogMaker, PrepareLog
from chargerd.ocpp.jobs.samples import AppendSamples
from chargerd.ocpp.jobs.security_log import LogEvent, SecurityLog
from chargerd.ocpp.jobs.transfer import Download, Transfers, Upload
from chargerd.ocpp.jobs.vendor import AskVendor, ask_vendor
from chargerd.ocpp.workers import Worker


def workers(
    config: Config, changed: Callable[[], None] = lambda: None
) -> Mapping[type, Worker]:
    """All kinds of jobs of this station, by the type of their task.

    `changed`: certificates that vehicles' connections depend on are new.
    """
    certificates = CertificateWorker(config, changed)
    transfers = Transfers(config)
    return {
        AskVendor: ask_vendor,
        AppendSamples: samples.appender(config),
        Download: transfers.download,
        LogEvent: SecurityLog(config),
        PrepareLog: LogMaker(config),
        Upload: transfers.upload,
        **dict.fromkeys(TASKS, certificates),
        **dict.fromkeys(FIRMWARE_TASKS, FirmwareWorker(config)),
    }
