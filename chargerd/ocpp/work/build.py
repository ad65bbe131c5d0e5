"""Which worker carries out which task."""

from __future__ import annotations

from collections.abc import Mapping

from chargerd.config import Config
from chargerd.ocpp.work import samples
from chargerd.ocpp.work.samples import AppendSamples
from chargerd.ocpp.workers import Worker


def workers(config: Config) -> Mapping[type, Worker]:
    """All kinds of jobs of this station, by the type of their task."""
    return {AppendSamples: samples.appender(config)}
