"""`[grid.openadr3]`, `[grid.ieee2030_5]`, `[grid.s2]`: servers that the station asks.

Values only; the doors are built by `grid/build.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from chargerd.config_base import Section

LOOPBACK = ("127.0.0.1", "::1", "localhost")
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]
Share = Annotated[float, Field(ge=-1, le=1)]


class Server(Section):
    """Where a server is, whom we believe, and what we show."""

    SCHEMES: ClassVar[tuple[str, str]] = ("https", "http")  # with and without TLS

    url: Annotated[
        str, Field(min_length=8, max_length=500, pattern=r"^[a-z]+://[^\s<>\"'?#]+$")
    ]
    ca: Path | None = None  # PEM; None = the machine's roots
    certificate: Path | None = None  # ours, and its key, PEM
    key: Path | None = None
    # Without TLS a server is believed on this machine only, unless this says so.
    insecure: bool = False

    @model_validator(mode="after")
    def _reachable(self) -> Server:
        parts = urlsplit(self.url)
        if parts.scheme not in self.SCHEMES or not parts.hostname:
            raise ValueError(f"url: must begin with {self.SCHEMES[0]}:// and a host")
        plain = parts.scheme == self.SCHEMES[1]
        if plain and not self.insecure and parts.hostname not in LOOPBACK:
            raise ValueError(
                f"url: {parts.hostname!r} without TLS: anybody on the way could "
                f"command; use {self.SCHEMES[0]}, or insecure = true to accept that"
            )
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or none")
        return self


class Openadr3(Server):
    """`[grid.openadr3]`: an OpenADR 3 VEN (docs/openadr.md)."""

    # `url`: what the paths begin with, e.g. "https://vtn.example/openadr3/3.1.0".
    version: Literal["3.1", "3.0"] = "3.1"
    ven_name: Name
    client_id: Annotated[str, Field(max_length=256)] = ""  # "" = no OAuth2
    client_secret: SecretStr = SecretStr("")
    scope: Annotated[str, Field(max_length=256)] = ""
    token_url: Annotated[str, Field(max_length=500)] = ""  # "" = the VTN tells
    programs: tuple[Name, ...] = ()  # names of those that are followed; () = all
    # What the VTN calls our EVSEs, in their order; () = "evse1" and so on.
    resources: tuple[Name, ...] = ()
    targets: tuple[Name, ...] = ()  # groups that we belong to, beside the VTN's word
    register_ven: bool = True  # make our ven and resources where the VTN has none
    poll_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    hold_s: Annotated[float, Field(ge=60, le=86_400)] = 900.0  # of wishes in silence
    # What SIMPLE levels 1 to 3 mean, as a part of the rating: a cap on charging, or
    # where negative a discharge.
    levels: tuple[Share, Share, Share] = (0.5, 0.0, 0.0)
    # The same for ALERT_GRID_EMERGENCY and ALERT_FLEX_ALERT; ALERT_BLACK_START is 0.
    alert: Share = 0.0
    # Of events without a priority, in the protocol's sense: 0 is the highest.
    priority: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    report_s: Annotated[float, Field(ge=1, le=3600)] = 60.0  # of open reports

    @model_validator(mode="after")
    def _consistent(self) -> Openadr3:
        if self.client_id and not self.client_secret.get_secret_value():
            raise ValueError("client_id: needs client_secret")
        if self.client_secret.get_secret_value() and not self.client_id:
            raise ValueError("client_secret: needs client_id")
        if len(set(self.resources)) != len(self.resources):
            raise ValueError("resources: a name is used twice")
        if self.poll_s > self.hold_s / 3.0:
            raise ValueError("poll_s: at most a third of hold_s")
        if self.token_url and not self.token_url.startswith(("https://", "http://")):
            raise ValueError("token_url: must begin with https://")
        plain = self.token_url.startswith("http://") and not self.insecure
        if plain and urlsplit(self.token_url).hostname not in LOOPBACK:
            raise ValueError("token_url: the secret would go without TLS; use https")
        return self


class Ieee2030(Server):
    """`[grid.ieee2030_5]`: an IEEE 2030.5 client (docs/ieee2030_5.md)."""

    SCHEMES: ClassVar[tuple[str, str]] = ("https", "")  # the standard knows no other

    # `url`: the server itself, e.g. "https://utility.example:8443".
    device_capability: Annotated[
        str,
        Field(
            pattern=r"^/[\x21-\x7e]{0,200}$",
            description='a path that begins with /, e.g. "/dcap"',
        ),
    ] = "/dcap"
    pin: Annotated[int, Field(ge=0, le=999_999)] | None = None  # None = not compared
    edition: Literal[2018, 2023] = 2023  # of the standard, as the server has it
    post_s: Annotated[float, Field(ge=5, le=3600)] = 300.0  # readings and DER status
    hold_s: Annotated[float, Field(ge=60, le=86_400)] = 900.0  # without a word from it
    # The standard's server names are not always the ones in its certificate.
    check_hostname: bool = True

    @model_validator(mode="after")
    def _shown(self) -> Ieee2030:
        if self.certificate is None or self.ca is None:
            raise ValueError("ca, certificate and key: IEEE 2030.5 needs all three")
        return self


class S2(Server):
    """`[grid.s2]`: an S2 resource manager (docs/s2.md)."""

    SCHEMES: ClassVar[tuple[str, str]] = ("wss", "ws")

    # `url`: of the customer energy manager's WebSocket, e.g. "wss://cem.local/s2".
    token: SecretStr = SecretStr("")  # of the pairing; "" = none is shown
    evse: Annotated[int, Field(ge=1)] = 1  # a resource is one EVSE
    name: Name = "chargerd"
    hold_s: Annotated[float, Field(ge=10, le=86_400)] = 900.0  # an instruction's life
    every_s: Annotated[float, Field(ge=0.5, le=600)] = 5.0  # measurements
    messages_per_s: Annotated[float, Field(ge=1, le=100)] = 20.0
