"""What an OpenADR 3 VEN asks its VTN: one HTTP request each.

Pure. Paths and bodies of 3.0.1 and 3.1, which differ for vens and resources.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from chargerd.config_grid_servers import Openadr3

PAGE = 50  # the most that a VTN gives at once


@dataclass(frozen=True, slots=True)
class Call:
    """`kind` is the core's own word."""

    kind: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # the token
    body: bytes = field(default=b"", repr=False)  # the secret


class Calls:
    """All of them, for one VTN."""

    def __init__(self, config: Openadr3) -> None:
        self._config = config
        self._base = config.url.rstrip("/")
        self.token = ""

    def _made(
        self, kind: str, method: str, path: str, query: Mapping[str, Any], body: Any
    ) -> Call:
        text = f"?{urlencode(query, quote_via=quote)}" if query else ""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = b""
        if body is not None:
            data = json.dumps(body, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        return Call(kind, method, f"{self._base}{path}{text}", headers, data)

    def auth_server(self) -> Call:
        return Call("auth", "GET", f"{self._base}/auth/server")

    def ask_token(self, url: str) -> Call:
        """OAuth2 client credentials (RFC 6749, 4.4), as a form."""
        config = self._config
        form = {
            "grant_type": "client_credentials",
            "client_id": config.client_id,
            "client_secret": config.client_secret.get_secret_value(),
        }
        if config.scope:
            form["scope"] = config.scope
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Call("token", "POST", url, headers, urlencode(form).encode())

    def programs(self, skip: int) -> Call:
        query = {"skip": skip, "limit": PAGE}
        return self._made("programs", "GET", "/programs", query, None)

    def events(self, skip: int) -> Call:
        return self._made(
            "events", "GET", "/events", {"skip": skip, "limit": PAGE}, None
        )

    def find_ven(self) -> Call:
        query = {"venName": self._config.ven_name}
        return self._made("find ven", "GET", "/vens", query, None)

    def make_ven(self) -> Call:
        body = {"venName": self._config.ven_name}
        body["objectType"] = "VEN" if self._old else "VEN_VEN_REQUEST"
        return self._made("make ven", "POST", "/vens", {}, body)

    def find_resources(self, ven_id: str) -> Call:
        path = f"/vens/{ven_id}/resources" if self._old else "/resources"
        query = {} if self._old else {"venID": ven_id}
        return self._made("find resources", "GET", path, query, None)

    def make_resource(self, ven_id: str, name: str) -> Call:
        path = f"/vens/{ven_id}/resources" if self._old else "/resources"
        body = {"resourceName": name, "venID": ven_id}
        body["objectType"] = "RESOURCE" if self._old else "VEN_RESOURCE_REQUEST"
        return self._made("make resource", "POST", path, {}, body)

    def report(self, body: Any) -> Call:
        return self._made("report", "POST", "/reports", {}, body)

    @property
    def _old(self) -> bool:
        return self._config.version == "3.0"
