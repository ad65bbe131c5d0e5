"""Which servers a file may go to or come from: the CSMS names them, so judge.

Owns the reading of a transfer's URL and the choice of the address that is dialled: what
was judged is what is dialled, whatever the name says a moment later. Never logs a
password of a URL.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from chargerd.config_upkeep import Transfer
from chargerd.ocpp.effects import OcppError

PORTS = {"https": 443, "http": 80, "ftps": 21, "ftp": 21, "sftp": 22}


class TransferError(OcppError):
    """A transfer that failed; `status`: an UploadLogStatusEnumType value."""

    def __init__(
        self, why: str, status: str = "UploadFailure", reason: str = ""
    ) -> None:
        super().__init__(why)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Url:
    """A transfer's URL in its parts; `target`: path and query as they were given."""

    scheme: str
    host: str
    port: int
    target: str
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def path(self) -> str:
        """For file servers: without escapes."""
        return unquote(self.target.partition("?")[0])


def read_url(text: str, protocols: Collection[str]) -> Url:
    """Raises OcppError: says what is wrong, without the password."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise OcppError(f"no address: {error}") from error
    scheme = parts.scheme.lower()
    if scheme.upper() not in protocols or not host:
        raise OcppError(f"not one of {', '.join(protocols)} with a host")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise OcppError("an address is plain ASCII without spaces")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Url(scheme, host, port or PORTS[scheme], target, user, password)


def dial(
    url: Url, config: Transfer, watch: Callable[[socket.socket], object]
) -> socket.socket:
    """A TCP connection to a server that is allowed. Blocks; raises TransferError, as
    `watch` may, which gets each socket before it connects."""
    if config.hosts and url.host not in config.hosts:
        raise TransferError(f"{url.host} is not in ocpp.transfer.hosts")
    try:
        found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a name that cannot be one
        raise TransferError(f"{url.host}: {error}") from error
    why: Exception | str = "no address"
    for family, kind, number, _, place in found:
        if not config.hosts and _is_ours(str(place[0])):
            why = f"{place[0]} is this machine or its own link"
            continue
        connection = socket.socket(family, kind, number)
        connection.settimeout(config.timeout_s)
        watch(connection)
        try:
            connection.connect(place)
        except OSError as error:
            connection.close()
            why = error
        else:
            return connection
    raise TransferError(f"{url.shown}: {why}")


def _is_ours(text: str) -> bool:
    """Loopback, link-local (cloud metadata, too), multicast, none at all."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    )
