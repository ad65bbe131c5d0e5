"""Which central system, and as whom: what one attempt to connect needs to know.

Owns the value that the pure station hands to the shell (`link.py`) before each attempt,
and the rules for its address. Holds no socket and reads no file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from chargerd.config import Ocpp
from chargerd.ocpp.effects import OcppError

TLS_PROFILE = 2  # security profiles from here on never speak plain ws://
MUTUAL_PROFILE = 3  # from here on the station shows a certificate, and no password


@dataclass(frozen=True, slots=True)
class Connection:
    """A network connection profile as it is used now (B09, A00)."""

    url: str  # without the identity
    identity: str
    security_profile: int
    password: str = field(default="", repr=False)
    slot: int = 1  # of the NetworkConfiguration
    versions: tuple[str, ...] = ("ocpp2.1", "ocpp2.0.1")
    certificates_dir: str = ""
    connect_timeout_s: float = 10.0
    spare_client: bool = False  # the certificate before the renewed one (A02.FR.28)
    spare_root: bool = False  # the CSMS's root before the new one (M05.FR.14)

    @classmethod
    def of(cls, config: Ocpp, station_id: str) -> Connection:
        """As the config file says."""
        return cls(
            url=config.url,
            identity=config.identity or station_id,
            security_profile=config.security_profile,
            password=config.password.get_secret_value(),
            versions=config.versions,
            certificates_dir=str(config.certificates_dir),
            connect_timeout_s=config.connect_timeout_s,
        )

    @property
    def is_tls(self) -> bool:
        return urlsplit(self.url).scheme == "wss"

    def address(self) -> str:
        """The connection URL (part 4, 3.1.1). Raises OcppError for one we refuse."""
        refused = refused_url(self.url, self.security_profile)
        if refused:
            raise OcppError(f"ocpp.url {refused}")
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{quote(self.identity, safe='')}"
        query = f"?{parts.query}" if parts.query else ""
        return f"{parts.scheme}://{parts.netloc}{path}{query}"


def refused_url(url: str, security_profile: int) -> str:
    """Why this address cannot be used with this security profile; "" = it can."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"is no address: {error}"
    if parts.username or parts.password:
        return "holds a password: it belongs into the password's own variable"
    if parts.scheme not in ("ws", "wss") or not host:
        return f"{url!r}: not a ws:// or wss:// address with a host"
    if parts.scheme == "ws" and security_profile >= TLS_PROFILE:
        return f"{url!r}: security profile {security_profile} needs wss://"
    return ""
