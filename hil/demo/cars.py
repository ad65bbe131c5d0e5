"""The vehicles that can play the demo: what each plugs in as, and what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil.stand import CCS, CONFIG


@dataclass(frozen=True, slots=True)
class DemoCar:
    """`keys` are the rig's `plug_in` keys; `config` is the station that fits it.
    `tls`: both get certificates of a PKI that is made for this run."""

    kind: str
    name: str
    title: str
    config: Path
    keys: Mapping[str, Any] = field(default_factory=dict)
    tls: bool = False


CARS = {
    car.kind: car
    for car in (
        DemoCar(
            "iso15118",
            "an ISO 15118-20 car",
            "ISO 15118-20, DC_BPT in dynamic control over TLS 1.3 with certificates of "
            "both sides",
            CCS,
            {"profile": "v2g"},
            tls=True,
        ),
        DemoCar("chademo", "a CHAdeMO car", "CHAdeMO V2H", CONFIG),
    )
}
