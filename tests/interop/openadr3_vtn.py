"""OpenADR 3 seen from the other side: PyPI `openadr3` as business logic and as judge.

Runs in openadr3's own venv. No VTN can be installed from PyPI or npm, so the store of
objects in the middle is ours: it keeps what it is given and judges nothing. What the
station posts must parse with openadr3's models; what openadr3's client posts is handed
to the station as it is. Verbs by lines (see partner.py): event, clear, seen, forbid.
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from openadr3 import OpenADRClient, fetch_token
from openadr3.entities import models, raw

TOKENS = {"ven-1:secret": "VEN", "bl-1:secret": "BL"}
JUDGES = {
    "/events": (raw.RawEvent, models.Event),
    "/programs": (raw.RawProgram, models.Program),
    "/vens": (raw.RawVen, models.Ven),
    "/resources": (raw.RawResource, models.Resource),
    "/reports": (raw.RawReport, models.Report),
}


def stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Store:
    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {path: [] for path in JUDGES}
        self.wrong: list[str] = []
        self.tokens = 0
        self.count = 0
        self.forbid = False
        self.port = 0

    def add(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """As a VTN does; the models of openadr3 say whether it is one."""
        self.count += 1
        made = {**body, "id": f"{path[1:-1]}-{self.count}"}
        made["createdDateTime"] = made["modificationDateTime"] = stamp()
        shape, entity = JUDGES[path]
        try:
            shape.model_validate(made)
            entity.from_raw(made)
        except (ValueError, KeyError, TypeError) as error:
            self.wrong.append(f"{path}: {error}"[:500])
        self.objects[path].append(made)
        return made


STORE = Store()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        return

    def _say(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _role(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return token if token in TOKENS.values() else ""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/auth/server":
            self._say(200, {"tokenURL": f"http://127.0.0.1:{STORE.port}/auth/token"})
        elif not self._role() or STORE.forbid:
            self._say(401, {"title": "Unauthorized", "status": 401})
        else:
            query = parse_qs(parts.query)
            skip = int(query.get("skip", ["0"])[0])
            found = STORE.objects.get(parts.path, [])
            for name in ("venName", "venID"):
                if name in query:
                    found = [o for o in found if o.get(name) == query[name][0]]
            self._say(200, found[skip : skip + 50])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/auth/token":
            form = {k: v[0] for k, v in parse_qs(body.decode()).items()}
            role = TOKENS.get(f"{form.get('client_id')}:{form.get('client_secret')}")
            STORE.tokens += 1
            good = {"access_token": role, "token_type": "Bearer", "expires_in": 3600}
            self._say(200, good) if role else self._say(401, {"status": 401})
        elif not self._role():
            self._say(401, {"title": "Unauthorized", "status": 401})
        else:
            self._say(201, STORE.add(self.path, json.loads(body)))


def event(values: dict[str, Any]) -> dict[str, Any]:
    """`kind`, `value`, `seconds` and more, as an event of openadr3's own shape."""
    begins = datetime.now(UTC) - timedelta(seconds=5)
    more = {k: v for k, v in values.items() if k not in ("kind", "value", "seconds")}
    made = raw.RawEvent.model_validate(
        {
            "programID": "program-1",
            "intervalPeriod": {
                "start": begins.isoformat(timespec="seconds").replace("+00:00", "Z"),
                "duration": f"PT{values['seconds']}S",
            },
            "intervals": [
                {
                    "id": 0,
                    "payloads": [{"type": values["kind"], "values": [values["value"]]}],
                }
            ],
            **more,
        }
    )
    return made.model_dump(by_alias=True, exclude_none=True)


def main() -> None:
    STORE.port = int(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", STORE.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{STORE.port}"
    token = fetch_token(url, "bl-1", "secret")
    bl = OpenADRClient(url, token=token, client_type="bl")
    for line in sys.stdin:
        verb, *rest = json.loads(line)
        answer: Any = None
        if verb == "event":
            answer = bl.create_event(event(rest[0])).json()["id"]
        elif verb == "clear":
            STORE.objects["/events"].clear()
        elif verb == "forbid":
            STORE.forbid = rest[0]
        elif verb == "seen":
            kept = {path[1:]: found for path, found in STORE.objects.items()}
            answer = {**kept, "wrong": STORE.wrong, "tokens": STORE.tokens}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
