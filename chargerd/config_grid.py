"""`[grid.*]`: the grid's own doors, one table per source, each off until configured.

Values only; the doors are built by `grid/build.py`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from chargerd.config_base import Section, Watts
from chargerd.config_grid_servers import (
    LOOPBACK,
    S2,
    Ieee2030,
    Openadr3,
    Server,
    Share,
)

Topic = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$",
        description='a topic without wildcards, e.g. "chargerd" or "home/chargers"',
    ),
]
Member = Annotated[
    str,
    Field(
        min_length=1,
        max_length=48,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="a station id of letters, digits, dot, dash and underscore",
    ),
]
Command = Literal[
    "setpoint_w",
    "charge_limit_w",
    "discharge_limit_w",
    "max_current_a",
    "generation_w",
    "mode",
    "enable",
    "promise",
    "prices",
    "session",
    "operative",
]
_XML_SAFE = r"^[^<>&\"'\s]*$"


class Broker(Section):
    """An MQTT broker, as every part that speaks MQTT is told of it."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8883
    tls: bool = True
    ca: Path | None = None  # PEM; None = the machine's roots
    certificate: Path | None = None  # our client certificate and its key, PEM
    key: Path | None = None
    username: Annotated[str, Field(max_length=64)] = ""
    password: SecretStr = SecretStr("")
    keepalive_s: Annotated[int, Field(ge=2, le=300)] = 15
    # Without TLS a broker is believed on this machine only, unless this says so.
    insecure: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Broker:
        if not self.tls and not self.insecure and self.host not in LOOPBACK:
            raise ValueError(
                f"{self.host!r} without TLS: anybody on the network could command; "
                "set tls = true, or insecure = true to accept that"
            )
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or none")
        return self


class Mqtt(Broker):
    """`[grid.mqtt]`: the local API over a broker (docs/mqtt.md)."""

    prefix: Topic = "chargerd"
    discovery: Topic | Literal[""] = "homeassistant"  # "" = no Home Assistant discovery
    every_s: Annotated[float, Field(ge=0.2, le=60)] = 1.0
    ttl_s: Annotated[float, Field(ge=1, le=86_400)] = 900.0  # of a command without one
    ttl_max_s: Annotated[float, Field(ge=1, le=604_800)] = 86_400.0
    commands_per_s: Annotated[float, Field(ge=0.1, le=50)] = 5.0
    # What may be commanded. "session" (start and stop without a card), "operative" and
    # "generation_w" are not allowed until they are named here.
    commands: tuple[Command, ...] = (
        "setpoint_w",
        "charge_limit_w",
        "discharge_limit_w",
        "max_current_a",
        "mode",
        "enable",
        "promise",
        "prices",
    )


class SiteBus(Broker):
    """`[grid.site]`: chargers that share one connection over a broker (docs/site.md).

    Every station of the site has the same `site`, `members`, `coordinators` and
    `safe_w`. The site's power must hold `safe_w` for each of the members.
    """

    site: Topic = "site"
    members: Annotated[tuple[Member, ...], Field(min_length=1, max_length=1000)]
    # Who may hand out power, best first. With more than one, a coordinator needs more
    # than half of the members to follow it.
    coordinators: Annotated[tuple[Member, ...], Field(min_length=1, max_length=9)]
    safe_w: Watts = 0.0  # what each member may take without a lease
    charge_w: Watts = 0.0  # what all members together may take
    discharge_w: Watts = 0.0  # and give, a magnitude
    lease_s: Annotated[float, Field(ge=2, le=600)] = 20.0
    every_s: Annotated[float, Field(ge=0.5, le=60)] = 2.0
    # From a cut to power that has followed: 5 s for a vehicle on the pilot alone
    # (IEC 61851-1), 1 s where it talks.
    fall_s: Annotated[float, Field(ge=0.2, le=30)] = 5.0
    # Whether the coordinator's site meter measures the shared connection: then all
    # members get what the house leaves of site.import_w, less the reserve.
    meter: bool = False
    reserve_w: Watts = 500.0

    @model_validator(mode="after")
    def _holds(self) -> SiteBus:
        if len(set(self.members)) != len(self.members):
            raise ValueError("members: a station is named twice")
        if len(set(self.coordinators)) != len(self.coordinators):
            raise ValueError("coordinators: a station is named twice")
        least_w = self.safe_w * len(self.members)
        if least_w > self.charge_w:
            raise ValueError(
                f"charge_w: {len(self.members)} members take {least_w:.0f} W without a "
                f"lease, over {self.charge_w:.0f} W; lower safe_w or raise charge_w"
            )
        if self.lease_s < self.fall_s + 2.5 * self.every_s:
            raise ValueError("lease_s: must be at least fall_s + 2.5 times every_s")
        return self


PRIVATE = tuple(
    IPv4Network(net)
    for net in ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)


class Echonet(Section):
    """`[grid.echonet]`: an ECHONET Lite EV charger and discharger (docs/echonet.md)."""

    address: IPv4Address = IPv4Address(0)  # of the home network's interface; 0 = any
    port: Annotated[int, Field(ge=1, le=65_535)] = 3610
    # The protocol has no passwords: who may command is told by address.
    controllers: tuple[IPv4Network, ...] = ()
    readers: tuple[IPv4Network, ...] = PRIVATE
    manufacturer: Annotated[
        str,
        Field(
            pattern=r"^[0-9A-F]{6}$",
            description="the maker's code with the ECHONET Consortium, 6 hex digits",
        ),
    ] = "FFFFFF"
    hold_s: Annotated[float, Field(ge=10, le=604_800)] = 900.0  # a command's life
    kept_by_get: bool = False  # its controller's questions keep a command alive
    requests_per_s: Annotated[float, Field(ge=1, le=200)] = 20.0


class Sunspec(Section):
    """`[grid.sunspec]`: a SunSpec DER for an energy manager (docs/sunspec.md)."""

    address: IPv4Address = IPv4Address("127.0.0.1")  # where we listen
    port: Annotated[int, Field(ge=1, le=65_535)] = 1502  # 502 needs a capability
    # Modbus has no passwords: who may command is told by address.
    controllers: tuple[IPv4Network, ...] = ()
    readers: tuple[IPv4Network, ...] = PRIVATE
    hold_s: Annotated[float, Field(ge=10, le=604_800)] = 900.0  # without a time written
    hold_max_s: Annotated[float, Field(ge=10, le=604_800)] = 86_400.0
    heartbeat_s: Annotated[float, Field(ge=2, le=600)] = 30.0  # of a controller's pulse
    connections: Annotated[int, Field(ge=1, le=64)] = 8
    idle_s: Annotated[float, Field(ge=5, le=3600)] = 120.0  # then it is closed
    requests_per_s: Annotated[float, Field(ge=1, le=500)] = 50.0


class Openadr2(Server):
    """`[grid.openadr2]`: an OpenADR 2.0b VEN that polls its VTN (docs/openadr.md)."""

    # `url`: e.g. "https://vtn.example/OpenADR2/Simple/2.0b".
    ven_name: Annotated[str, Field(min_length=1, max_length=64, pattern=_XML_SAFE)]
    ven_id: Annotated[str, Field(max_length=64, pattern=_XML_SAFE)] = ""  # "" = given
    vtn_id: Annotated[str, Field(max_length=64)] = ""  # "" = any
    market_contexts: tuple[str, ...] = ()  # () = any
    # What the VTN calls our EVSEs, in their order; () = "evse1" and so on.
    resources: tuple[Annotated[str, Field(pattern=_XML_SAFE)], ...] = ()
    sign: bool = False  # our messages, too (high security)
    vtn_fingerprint: Annotated[
        str,
        Field(
            pattern=r"^(([0-9A-F]{2}:){9}[0-9A-F]{2})?$",
            description='ten pairs of hex digits, "00:AB: ... :FF", of the certificate '
            'that signs the VTN\'s messages; "" = unsigned is accepted',
        ),
    ] = ""
    poll_s: Annotated[float, Field(ge=1, le=300)] = 10.0  # where the VTN names none
    sync_s: Annotated[float, Field(ge=5, le=3600)] = 60.0  # asks for the whole list
    hold_s: Annotated[float, Field(ge=60, le=86_400)] = 900.0  # without a word from it
    # What SIMPLE levels 1 to 3 mean, as a part of the rating: a cap on charging, or
    # where negative a discharge.
    levels: tuple[Share, Share, Share] = (0.5, 0.0, 0.0)
    positive: Literal["load", "generation"] = "load"  # sign of LOAD_DISPATCH

    @model_validator(mode="after")
    def _consistent(self) -> Openadr2:
        if self.sign and self.certificate is None:
            raise ValueError("sign: needs certificate and key")
        if len(set(self.resources)) != len(self.resources):
            raise ValueError("resources: a name is used twice")
        return self


class Grid(Section):
    """`[grid.*]`: more sources of dispatch."""

    mqtt: Mqtt | None = None
    site: SiteBus | None = None
    echonet: Echonet | None = None
    sunspec: Sunspec | None = None
    openadr2: Openadr2 | None = None
    openadr3: Openadr3 | None = None
    ieee2030_5: Ieee2030 | None = None
    s2: S2 | None = None
