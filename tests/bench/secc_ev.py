"""The vehicle of the SECC benchmark: hil's EVCC core on a blocking socket.

Runs in the vehicle's namespace, the same against every station. Prints a JSON line when
its charge loop begins, one with every loop's milliseconds (request's bytes out to
response's bytes in), and one with why it ended ("" = in order).
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time
from typing import Any

from chargerd.vehicle.iso15118 import sdp, v2gtp
from hil.ev.base import Given, Seen
from hil.ev.battery import Battery
from hil.ev.iso15118.car import Car
from hil.ev.iso15118.evcc import Evcc
from hil.ev.iso15118.profile import Profile
from hil.ev.iso15118.speakers import offers, speaker

SOC_PCT = 60.0  # as the rig's external vehicle has it
PATIENCE = 20.0  # a slow station is measured, not given up
STEP_S = 0.001


def find(interface: str, port: int, *, tls: bool) -> sdp.Response:
    """The station, by SDP; TimeoutError after 50 tries."""
    security = sdp.Security.TLS if tls else sdp.Security.NONE
    request = sdp.encode_request(sdp.Request(security, sdp.Transport.TCP))
    group = "::1" if interface == "lo" else sdp.MULTICAST_GROUP
    to = (group, port, 0, socket.if_nametoindex(interface))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.25)
        for _ in range(50):
            try:
                sock.sendto(request, to)
                return sdp.decode_response(sock.recv(100))
            except (TimeoutError, ConnectionRefusedError):
                time.sleep(0.05)
    raise TimeoutError("no SDP answer")


def connect(case: dict[str, Any]) -> socket.socket:
    """TCP, or TLS with the vehicle's certificate."""
    station = find(case["interface"], case["sdp_port"], tls=bool(case["tls"]))
    scope = socket.if_nametoindex(case["interface"])
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(20.0)
    sock.connect((str(station.address), station.port, 0, scope))
    if not case["tls"]:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(case["tls"]["roots"])
    context.load_cert_chain(
        case["tls"]["chain"], case["tls"]["key"], case["tls"]["password"]
    )
    return context.wrap_socket(sock)


def exchange(sock: socket.socket, request: bytes) -> bytes:
    """One request, one whole frame back."""
    sock.sendall(request)
    data = sock.recv(65_536)
    while len(data) < v2gtp.HEADER_BYTES or len(data) < 8 + int.from_bytes(data[4:8]):
        more = sock.recv(65_536)
        if not more:
            raise ConnectionError("the station closed")
        data += more
    return data


class Pins:
    """Moves the pins of the rig's external vehicle; without a rig, none."""

    def __init__(self, path: str) -> None:
        self._shown = ("B", False)
        self._lines = None
        if path:
            link = socket.socket(socket.AF_UNIX)
            link.connect(path)
            self._lines = link.makefile("rw")

    def show(self, given: Given) -> None:
        wanted = (given.pilot_state, given.contactor_closed)
        if wanted == self._shown or self._lines is None:
            return
        self._shown = wanted
        line = {"verb": "pilot", "connector": 1, "state": wanted[0]}
        self._lines.write(json.dumps({**line, "contactor": wanted[1]}) + "\n")
        self._lines.flush()
        if not json.loads(self._lines.readline())["ok"]:
            raise RuntimeError(f"the rig refused {line}")


def run(case: dict[str, Any]) -> None:
    """A whole session with `loops` charge loops."""
    profile = Profile(
        services=(case["service"],),
        loop_s=case["loop_s"],
        poll_s=0.05,
        needs_pwm=False,
        contactor_s=0.0,
        patience=PATIENCE,
        target_soc_pct=95.0,
    )
    car = Car(Battery(SOC_PCT), profile)
    car.now_s = time.monotonic()
    pins = Pins(case["rig"])
    known = [p for p in offers(profile, tls=True) if p.namespace == case["namespace"]]
    evcc = Evcc(car, known, lambda protocol: speaker(protocol, car))
    taken_ms: list[float] = []
    with connect(case) as sock:
        while not evcc.closing:
            seen = Seen(0.05, dc_voltage_v=car.battery.emf_v)
            pins.show(car.step(time.monotonic(), STEP_S, seen))
            segments = evcc.step()
            if not segments:
                time.sleep(STEP_S)
                continue
            began = time.perf_counter()
            answer = exchange(sock, segments[0])
            taken_s = time.perf_counter() - began
            if evcc.last_request in ("CurrentDemandReq", "DC_ChargeLoopReq"):
                if not taken_ms:
                    print(json.dumps({"loop": True}), flush=True)
                taken_ms.append(taken_s * 1e3)
                if len(taken_ms) == case["loops"]:
                    print(json.dumps({"ms": taken_ms}), flush=True)
                    car.leaves = True
            evcc.receive(answer)
    print(json.dumps({"over": evcc.why}), flush=True)


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
