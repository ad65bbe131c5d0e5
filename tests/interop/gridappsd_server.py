"""An IEEE 2030.5 server whose every document is GridAPPS-D's: PyPI `gridappsd-2030-5`.

Runs in a venv of its own. The package's own Flask server cannot be installed on Python
3.11 (it pins gevent 21.12 and cryptography 37), so the HTTPS part is here and the
documents are its 2018 models: what it says is rendered by them, what the client says
must parse with them ("wrong" lists what did not). Verbs by lines (see partner.py):
control, default, clear, seen.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from ieee_2030_5.models import sep
from xsdata.exceptions import ParserError
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata.formats.dataclass.serializers import XmlSerializer

STRICT = XmlParser(config=ParserConfig(fail_on_unknown_properties=True))
POLL_S = 2
POSTED = (
    sep.DERControlResponse,
    sep.MirrorUsagePoint,
    sep.MirrorMeterReading,
    sep.MirrorMeterReadingList,
    sep.EndDevice,
)
POSTED += (sep.DERStatus, sep.DERCapability, sep.DERSettings, sep.DERAvailability)
KINDS = {kind.__name__: kind for kind in POSTED}


class Server:
    """The resources of one device."""

    def __init__(self, lfdi: bytes) -> None:
        self.lfdi = lfdi
        self.controls: list[Any] = []
        self.default: Any = None
        self.seen: dict[str, list[dict[str, Any]]] = {}
        self.wrong: list[str] = []
        self.count = 0
        self.told: list[float] = []  # when each new list was first asked for
        self.new = False

    def get(self, path: str) -> Any:
        one = {"all": 1, "results": 1}
        rates = {**one, "pollRate": POLL_S}
        match path:
            case "/dcap":
                return sep.DeviceCapability(
                    href="/dcap",
                    pollRate=POLL_S,
                    EndDeviceListLink=sep.EndDeviceListLink(href="/edev", all=1),
                    TimeLink=sep.TimeLink(href="/tm"),
                    MirrorUsagePointListLink=sep.MirrorUsagePointListLink(
                        href="/mup", all=0
                    ),
                )
            case "/tm":
                return self._time()
            case "/edev":
                return sep.EndDeviceList(href=path, EndDevice=[self._device()], **rates)
            case "/edev/1":
                return self._device()
            case "/edev/1/fsa":
                return sep.FunctionSetAssignmentsList(
                    href=path, FunctionSetAssignments=[self._assignments()], **rates
                )
            case "/edev/1/derp":
                return sep.DERProgramList(
                    href=path, DERProgram=[self._program()], **rates
                )
            case "/edev/1/derp/1":
                return self._program()
            case "/edev/1/derp/1/derc":
                if self.new:
                    self.told.append(time.monotonic())
                    self.new = False
                count = len(self.controls)
                return sep.DERControlList(
                    href=path, all=count, results=count, DERControl=self.controls
                )
            case "/edev/1/derp/1/dderc":
                return self.default
            case "/edev/1/der":
                return sep.DERList(href=path, DER=[self._der()], **rates)
            case "/mup":
                return sep.MirrorUsagePointList(href=path, all=0, results=0)
        return None

    def _time(self) -> Any:
        now = int(time.time())
        return sep.Time(
            href="/tm",
            currentTime=now,
            dstEndTime=0,
            dstOffset=0,
            dstStartTime=0,
            localTime=now,
            quality=4,
            tzOffset=0,
        )

    def _device(self) -> Any:
        return sep.EndDevice(
            href="/edev/1",
            lFDI=self.lfdi,
            sFDI=int(self.lfdi.hex()[:9], 16) * 10,
            changedTime=0,
            enabled=True,
            postRate=2,
            DERListLink=sep.DERListLink(href="/edev/1/der", all=1),
            FunctionSetAssignmentsListLink=sep.FunctionSetAssignmentsListLink(
                href="/edev/1/fsa", all=1
            ),
        )

    def _assignments(self) -> Any:
        return sep.FunctionSetAssignments(
            href="/edev/1/fsa/1",
            mRID=b"\x01" * 16,
            DERProgramListLink=sep.DERProgramListLink(href="/edev/1/derp", all=1),
            TimeLink=sep.TimeLink(href="/tm"),
        )

    def _program(self) -> Any:
        default = None
        if self.default is not None:
            default = sep.DefaultDERControlLink(href="/edev/1/derp/1/dderc")
        return sep.DERProgram(
            href="/edev/1/derp/1",
            mRID=b"\x02" * 16,
            primacy=1,
            DefaultDERControlLink=default,
            DERControlListLink=sep.DERControlListLink(
                href="/edev/1/derp/1/derc", all=len(self.controls)
            ),
        )

    def _der(self) -> Any:
        base = "/edev/1/der/1"
        return sep.DER(
            href=base,
            DERAvailabilityLink=sep.DERAvailabilityLink(href=f"{base}/dera"),
            DERCapabilityLink=sep.DERCapabilityLink(href=f"{base}/dercap"),
            DERSettingsLink=sep.DERSettingsLink(href=f"{base}/derg"),
            DERStatusLink=sep.DERStatusLink(href=f"{base}/ders"),
        )

    def control(self, values: dict[str, Any]) -> str:
        """A DERControl from now on; `seconds` long."""
        self.count += 1
        mrid, now = self.count.to_bytes(16, "big"), int(time.time())
        length = values.pop("seconds")
        made = sep.DERControl(
            href=f"/edev/1/derp/1/derc/{self.count}",
            replyTo="/rsps",
            responseRequired=b"\x07",
            mRID=mrid,
            creationTime=now,
            EventStatus=sep.EventStatus(
                currentStatus=1, dateTime=now, potentiallySuperseded=False
            ),
            interval=sep.DateTimeInterval(duration=length, start=now),
            DERControlBase=base(values),
        )
        self.controls.insert(0, made)
        del self.controls[8:]
        self.new = True
        return mrid.hex()

    def take(self, body: bytes) -> None:
        """Of the client: it must be one of the documents that are expected."""
        name = body.split(b"<", 2)[-1].split(b">")[0].split(b" ")[0].split(b":")[-1]
        kind = KINDS.get(name.decode())
        if kind is None:
            self.wrong.append(f"unexpected {name!r}")
            return
        try:
            STRICT.from_bytes(body, kind)
        except (ParserError, ValueError, TypeError) as error:
            self.wrong.append(f"{name!r}: {error}"[:500])
        text = body.decode()
        self.seen.setdefault(name.decode(), []).append({"xml": text})


def base(values: dict[str, Any]) -> Any:
    made = sep.DERControlBase()
    for key, value in values.items():
        if key == "opModTargetW":
            power = sep.ActivePower(multiplier=0, value=value)
            made.opModTargetW = power
        else:
            setattr(made, key, value)
    return made


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Server

    def log_message(self, *_: Any) -> None:
        return

    def _say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/sep+xml")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        found = self.server_of.get(self.path.split("?")[0])
        if found is None:
            self._say(404)
        else:
            self._say(200, XmlSerializer().render(found).encode())

    def _take(self, status: int) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server_of.take(body)
        self.server_of.count += 1
        self._say(status, Location=f"{self.path}/{self.server_of.count}")

    def do_POST(self) -> None:
        self._take(201)

    def do_PUT(self) -> None:
        self._take(204)


def main() -> None:
    port, ca, certificate, key, client = sys.argv[1:]
    with open(client, "rb") as file:
        der = x509.load_pem_x509_certificate(file.read()).public_bytes(Encoding.DER)
    server = Server(hashlib.sha256(der).digest()[:20])
    Handler.server_of = server
    listening = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    for line in sys.stdin:
        verb, *rest = json.loads(line)
        answer: Any = None
        if verb == "control":
            answer = server.control(rest[0])
        elif verb == "default":
            server.default = sep.DefaultDERControl(
                href="/edev/1/derp/1/dderc",
                mRID=b"\x03" * 16,
                DERControlBase=base(rest[0]),
            )
        elif verb == "clear":
            server.controls.clear()
        elif verb == "seen":
            answer = {**server.seen, "wrong": server.wrong, "told": server.told}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
