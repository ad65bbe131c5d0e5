"""An OpenADR 2.0b VTN made of PyPI `openleadr`; runs in openleadr's own venv.

Verbs by lines (see partner.py): start, stop, events, seen. Owns no judgement. The list
of events is told as it is given: a shorter one is an implied cancel.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from openleadr import OpenADRServer, objects
from openleadr.service import OptService


class Vtn:
    def __init__(self, port: str, *tls: str) -> None:
        self._port, self._tls = int(port), tls
        self._server: Any = None
        self._known: dict[str, str] = {}  # registration by VEN
        self._events: dict[str, Any] = {}
        self.seen: dict[str, Any] = {"opts": [], "registrations": [], "values": {}}
        self.seen["told"] = []  # when each new list was first asked for
        self._new = False

    async def start(self) -> None:
        """A VTN that knows nobody."""
        self._known, self._events = {}, {}
        tls = {}
        if self._tls:
            ca, cert, key = self._tls
            tls = {"http_ca_file": ca, "http_cert": cert, "http_key": key}
            tls |= {"cert": cert, "key": key, "show_fingerprint": False}
        self._server = OpenADRServer(
            "VTN1",
            http_port=self._port,
            requested_poll_freq=timedelta(seconds=1),
            ven_lookup=self._lookup,
            verify_message_signatures=False,
            **tls,
        )
        self._server.add_handler("on_create_party_registration", self._register)
        self._server.add_handler("on_register_report", self._report)
        self._server.add_handler("on_request_event", self._request)
        self._server.add_handler("on_poll", self._poll)
        self._server.add_handler("on_created_event", self._created)
        opts = OptService("VTN1")
        opts.handlers["oadrCreateOpt"] = self._opt
        path = f"{self._server.http_path_prefix}/EiOpt"
        self._server.app.add_routes([web.post(path, opts.handler)])
        await self._server.run()

    async def stop(self) -> None:
        await self._server.stop()

    def _lookup(self, ven_id: str) -> Any:
        registration = self._known.get(str(ven_id))
        fingerprint = self.seen.get("fingerprint")
        return registration and {
            "registration_id": registration,
            "fingerprint": fingerprint,
        }

    async def _register(self, payload: Any) -> Any:
        self.seen["registrations"].append(payload.get("registration_id"))
        self.seen["fingerprint"] = payload.get("fingerprint")
        ven_id = payload.get("ven_id") or "VEN7"
        self._known[ven_id] = f"R{len(self.seen['registrations'])}"
        return ven_id, self._known[ven_id]

    async def _report(
        self,
        ven_id: str,
        resource_id: str,
        measurement: str,
        unit: str,
        scale: str,
        min_sampling_interval: timedelta,
        max_sampling_interval: timedelta,
    ) -> Any:
        name = f"{resource_id}/{measurement}/{unit}"

        def take(values: Any) -> None:
            found = self.seen["values"].setdefault(name, [])
            found.extend(value for _, value in values)

        return take, timedelta(seconds=1)

    async def _request(self, ven_id: str) -> Any:
        if self._new:
            self.seen["told"].append(time.monotonic())
            self._new = False
        return list(self._events.values())

    async def _poll(self, ven_id: str) -> Any:
        return None

    async def _created(self, ven_id: str, event_id: str, opt_type: str) -> None:
        self.seen["opts"].append([event_id, opt_type])

    async def _opt(self, payload: Any) -> Any:
        self.seen["opts"].append([payload["event_id"], payload["opt_type"], "later"])
        return "oadrCreatedOpt", {"opt_id": payload["opt_id"]}

    async def events(self, *wanted: dict[str, Any]) -> None:
        """The whole list, from now on."""
        self._events = {event["id"]: made(event) for event in wanted}
        self._new = True


def made(wanted: dict[str, Any]) -> Any:
    """{id, mod, name, type, values, each_s, in_s, unit?, scale?, resource?}"""
    start = datetime.now(UTC) + timedelta(seconds=wanted.get("in_s", 0))
    each = timedelta(seconds=wanted["each_s"])
    intervals = [
        objects.Interval(start + n * each, each, value)
        for n, value in enumerate(wanted["values"])
    ]
    measurement = None
    if "item" in wanted:
        item, text, unit = wanted["item"]
        power = objects.PowerAttributes(hertz=50, voltage=230, ac=True)
        measurement = objects.Measurement(
            name=item,
            description=text,
            unit=unit,
            scale=wanted.get("scale", "none"),
            power_attributes=power if item == "powerReal" else None,
        )
    signal = objects.EventSignal(
        intervals, wanted["name"], wanted["type"], "s1", measurement=measurement
    )
    descriptor = objects.EventDescriptor(
        event_id=wanted["id"],
        modification_number=wanted.get("mod", 0),
        market_context="http://market",
        event_status="far",
        priority=1,
    )
    resource = wanted.get("resource")
    target = {"resource_id": resource} if resource else {"ven_id": "VEN7"}
    return objects.Event(descriptor, [signal], targets=[objects.Target(**target)])


async def main() -> None:
    vtn = Vtn(*sys.argv[1:])
    out = sys.stdout
    sys.stdout = sys.stderr  # openleadr prints
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while line := await lines.readline():
        verb, *arguments = json.loads(line)
        if verb == "seen":
            answer: Any = vtn.seen
        else:
            await getattr(vtn, verb)(*arguments)
            answer = ""
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    asyncio.run(main())
