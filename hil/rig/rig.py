"""The rig: every wire, device and vehicle of one bench, moved in real time.

Owns the links in the bench folder, the TCP ports and the clock; the devices behind them
are pure. Must never touch a folder where another rig lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from time import monotonic
from typing import Any, TextIO

from hil.ev.base import Ev
from hil.rig import sdm630
from hil.rig.bench import Bench, EvseBench
from hil.rig.evse import EvseRig, Grid
from hil.rig.faults import Faults, RigError
from hil.rig.link import CsmsLink
from hil.rig.modbus import ModbusError, RtuServer, TcpServer, Unit
from hil.rig.peers import Peers
from hil.rig.sdm630 import Sdm630
from hil.rig.slcan import Frame, Slcan
from hil.rig.trace import Trace, WireLog
from hil.rig.wires import Pty

STEP_S = 0.005
STEP_MAX_S = 0.02  # a late step is cut into pieces this long
CATCH_UP_S = 1.0  # ... but no more than this much of it
MakeEv = Callable[..., Ev]
STX = b"\x02"


class Rig:
    """Start with `run()`; `ready` is set when every wire is up."""

    def __init__(
        self, bench: Bench, make_ev: MakeEv, *, seed: int, trace: Trace, log: WireLog
    ) -> None:
        self.bench = bench
        self.make_ev = make_ev
        self.seed = seed
        self.trace = trace
        self.log = log
        self.ready = asyncio.Event()
        self.started = monotonic()
        start = bench.grid
        self.grid = Grid(start.frequency_hz, start.voltage_v, start.house_load_w)
        self.evses = {
            part.id: self._evse(part, seed + 100 * part.id) for part in bench.evses
        }
        self.site_faults = Faults("site-meter", sdm630.KINDS)
        self.site_meter = Sdm630(
            self.site_faults, seed, refresh_s=bench.site_meter.refresh_s,
            import_kwh=901.0, export_kwh=402.0,
        )  # fmt: skip
        self.link = CsmsLink(bench.link_listen, bench.link_upstream)
        self.late_steps = 0
        self.ptys: dict[str, Pty] = {}
        self._adapters: dict[str, Slcan] = {}
        self._bus_free: dict[str, float] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._peers = Peers()
        self._units = self._modbus_units()

    def _evse(self, part: EvseBench, seed: int) -> EvseRig:
        def event(name: str, **facts: Any) -> None:
            self.trace.event(name, evse=part.id, **facts)

        return EvseRig(part, self.bench.limits, self.grid, seed, self.started, event)

    def _modbus_units(self) -> dict[int, Unit]:
        site = self.bench.site_meter
        units = {site.unit: Unit(site.unit, self.site_meter, self.site_faults)}
        for part in self.bench.evses:
            if not part.meter.link:
                evse = self.evses[part.id]
                units[part.meter.unit] = Unit(
                    part.meter.unit, evse.meter, evse.faults["meter"]
                )
        return units

    def evse(self, number: int) -> EvseRig:
        if number not in self.evses:
            raise RigError(f"no EVSE {number!r}; this bench has {sorted(self.evses)}")
        return self.evses[number]

    def device(self, name: str) -> Faults:
        """The faults of a device by its name, e.g. "evse1-meter"."""
        known = self.devices()
        if name not in known:
            raise RigError(f"no device {name!r}; this bench has {sorted(known)}")
        return known[name]

    def devices(self) -> dict[str, Faults]:
        out = {"site-meter": self.site_faults, "csms-link": self.link.faults}
        for evse in self.evses.values():
            out |= {f.device: f for f in evse.faults.values()}
        return out

    # -- life -------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. RigError when the folder is taken."""
        self.bench.dir.mkdir(parents=True, exist_ok=True)
        lock = self._lock()
        modbus: asyncio.Server | None = None
        try:
            self._open_wires()
            modbus = await asyncio.start_server(
                self._serve_modbus,
                self.bench.modbus_tcp.host,
                self.bench.modbus_tcp.port,
            )
            await self.link.start()
            self.ready.set()
            await self._move(stop)
        except OSError as error:
            raise RigError(f"the rig cannot open its wires: {error}") from error
        finally:
            await self.link.stop()
            if modbus is not None:
                modbus.close()
            await self._peers.end()
            for timer in self._timers.values():
                timer.cancel()
            for pty in self.ptys.values():
                pty.close()
            lock.close()

    def _lock(self) -> TextIO:
        """The folder's lock, with our pid in it."""
        path = self.bench.dir / "rig.lock"
        handle = path.open("a+", encoding="ascii")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            pid = handle.read().strip() or "unknown"
            handle.close()
            raise RigError(
                f"another rig is alive in {self.bench.dir} (pid {pid}); end it, or use"
                " --dir and --ports-offset"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        return handle

    async def _move(self, stop: asyncio.Event) -> None:
        """Step the plants in real time; late steps are cut into pieces."""
        last = due = monotonic()
        sample_at = last
        while not stop.is_set():
            now = monotonic()
            gap = now - last
            self.late_steps += gap > 4 * STEP_S
            last = max(last, now - CATCH_UP_S)
            while last < now:
                dt_s = min(STEP_MAX_S, now - last)
                last += dt_s
                self._step(last, dt_s)
            if now >= sample_at:
                sample_at = max(sample_at + Trace.PERIOD_S, now)
                self.trace.sample(now, self._sample())
            due = max(due + STEP_S, monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(due - monotonic(), 0.0005))

    def _step(self, now: float, dt_s: float) -> None:
        house_w = self.grid.house_load_w
        sums = [house_w, 0.0, 0.0]
        for number, evse in self.evses.items():
            out = evse.step(now, dt_s)
            if out.mcu:
                self.ptys[f"{number}.mcu"].send(evse.faults["mcu"].distort(out.mcu))
            if out.vehicle:
                frames = [Frame(ident, data) for ident, data in out.vehicle]
                self._put(f"{number}.vehicle", frames, 0.0)
            sums = [s + w for s, w in zip(sums, evse.phases_w(), strict=True)]
        self.site_meter.step(
            now, dt_s, (sums[0], sums[1], sums[2]), self.grid.voltage_v,
            self.grid.frequency_hz,
        )  # fmt: skip

    # -- wires ------------------------------------------------------------------

    def _open_wires(self) -> None:
        log = self.log if self.log.on else None
        for part in self.bench.evses:
            evse, n = self.evses[part.id], part.id

            def pty(role: str, name: str, on_data: Any, **kw: Any) -> None:
                self.ptys[role] = Pty(self.bench.dir / name, on_data, log=log, **kw)

            pty(f"{n}.mcu", part.mcu.link, self._mcu_reader(evse), baud=115_200)
            self._adapters[f"{n}.stage"] = Slcan(part.stage.bitrate)
            self._adapters[f"{n}.vehicle"] = Slcan(part.vehicle.bitrate)
            pty(f"{n}.stage", part.stage.link, self._stage_reader(evse))
            pty(f"{n}.vehicle", part.vehicle.link, self._vehicle_reader(evse))
            lines = [
                (
                    f"{n}.insulation", part.insulation.link, part.insulation.baud, 11,
                    Unit(
                        part.insulation.unit, evse.insulation, evse.faults["insulation"]
                    ),
                )
            ]  # fmt: skip
            if part.meter.link:
                unit = Unit(part.meter.unit, evse.meter, evse.faults["meter"])
                role = f"{n}.meter"
                lines.append((role, part.meter.link, part.meter.baud, 10, unit))
            for role, name, baud, bits, unit in lines:
                reader = self._rtu_reader(role, unit)
                pty(role, name, reader, baud=baud, bits_per_char=bits)
            role = f"{n}.reader"
            pty(role, part.reader.link, lambda *_: None, baud=part.reader.baud)

    def _mcu_reader(self, evse: EvseRig) -> Callable[[bytes, float], None]:
        def on_data(data: bytes, now: float) -> None:
            faults = evse.faults["mcu"]
            if not faults.deaf:
                answer = evse.mcu.receive(data, now)
                self.ptys[f"{evse.id}.mcu"].send(faults.distort(answer))

        return on_data

    def _rtu_reader(self, role: str, unit: Unit) -> Callable[[bytes, float], None]:
        server = RtuServer(unit)

        def on_data(data: bytes, now: float) -> None:
            for answer in server.receive(data, now):
                self.ptys[role].send(unit.faults.distort(answer))

        return on_data

    def _stage_reader(self, evse: EvseRig) -> Callable[[bytes, float], None]:
        role, adapter = f"{evse.id}.stage", self._adapters[f"{evse.id}.stage"]
        stage, faults = evse.stage, evse.faults["stage"]

        def on_data(data: bytes, now: float) -> None:
            answer, frames = adapter.receive(data)
            self.ptys[role].send([(0.0, answer)])
            for frame in frames:
                self._occupy(role, frame, now)
                if not frame.extended:
                    continue
                before = _orders(evse)
                answers = stage.receive(frame.ident, frame.data, now)
                if _orders(evse) != before:
                    self.trace.event("stage_setpoint", evse=evse.id, **_orders(evse))
                out = [Frame(ident, body, extended=True) for ident, body in answers]
                self._put(role, out, faults.delay_s())

        return on_data

    def _vehicle_reader(self, evse: EvseRig) -> Callable[[bytes, float], None]:
        role, adapter = f"{evse.id}.vehicle", self._adapters[f"{evse.id}.vehicle"]

        def on_data(data: bytes, now: float) -> None:
            adapter.bus_off = "bus_off" in evse.faults["vehicle"]
            answer, frames = adapter.receive(data)
            self.ptys[role].send([(0.0, answer)])
            for frame in frames:
                self._occupy(role, frame, now)
                if not frame.extended:
                    evse.can(frame.ident, frame.data, now)

        return on_data

    def _occupy(self, role: str, frame: Frame, now: float) -> float:
        """The bus carries `frame`; returns when it is through."""
        bits_s = frame.bits() / self._adapters[role].bus_bitrate
        free = max(now, self._bus_free.get(role, 0.0)) + bits_s
        self._bus_free[role] = free
        return free

    def _put(self, role: str, frames: list[Frame], delay_s: float) -> None:
        """Frames from a device to the host, one after the other on the bus."""
        now = monotonic()
        chunks = []
        for frame in frames:
            text = self._adapters[role].encode(frame)
            done = self._occupy(role, frame, now + delay_s)
            chunks.append((done - now, text))
        self.ptys[role].send(chunks)

    def swipe(self, number: int, token: bytes) -> None:
        """The reader's line: STX, upper-case hex, CR, LF."""
        line = STX + token.hex().upper().encode() + b"\r\n"
        faults = self.evse(number).faults["reader"]
        self.ptys[f"{number}.reader"].send(faults.distort(line))

    async def _serve_modbus(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        server = TcpServer(self._units)
        with (
            self._peers.serving(writer),
            contextlib.suppress(OSError, ModbusError),
        ):
            while data := await reader.read(1024):
                self.log("modbus-tcp", "<", data)
                for unit, answer in server.receive(data):
                    await self._answer_modbus(writer, unit.faults, answer)

    async def _answer_modbus(
        self, writer: asyncio.StreamWriter, faults: Faults, answer: bytes
    ) -> None:
        """TCP protects the bytes, so `corrupt` hits the transaction id: the answer to
        another question, as from a confused gateway."""
        last = 0.0
        for delay_s, part in faults.distort(answer, corrupt_at=1):
            await asyncio.sleep(delay_s - last)
            last = delay_s
            self.log("modbus-tcp", ">", part)
            writer.write(part)
            await writer.drain()

    # -- faults and state -------------------------------------------------------

    def fault(self, name: str, kind: str, on: bool, args: dict[str, Any]) -> None:
        """Set a device fault; `seconds` in `args` ends it by itself."""
        args = dict(args)
        seconds = args.pop("seconds", None)
        if kind == "reboot" and on:
            self.device(name).set(kind, False, args)
            self._evse_of(name).mcu.power_up(monotonic())
            return
        self.device(name).set(kind, on, args)
        timer = self._timers.pop((name, kind), None)
        if timer is not None:
            timer.cancel()
        if on and seconds is not None:
            if isinstance(seconds, bool) or not isinstance(seconds, int | float):
                raise RigError(f"{name} {kind}: seconds={seconds!r} must be a number")
            self._timers[name, kind] = asyncio.get_running_loop().call_later(
                max(0.0, float(seconds)), self.device(name).set, kind, False, {}
            )

    def _evse_of(self, device: str) -> EvseRig:
        return next(
            e
            for e in self.evses.values()
            if any(f.device == device for f in e.faults.values())
        )

    def grid_power_w(self) -> float:
        """True power at the grid connection, positive = import."""
        return self.grid.house_load_w + sum(
            sum(e.phases_w()) for e in self.evses.values()
        )

    def _sample(self) -> dict[str, Any]:
        return {
            "grid": {
                "frequency_hz": self.grid.frequency_hz,
                "voltage_v": self.grid.voltage_v,
                "power_w": round(self.grid_power_w(), 2),
            },
            "house_w": self.grid.house_load_w,
            "evses": {str(n): _evse_sample(e) for n, e in self.evses.items()},
        }

    def state(self) -> dict[str, Any]:
        now = monotonic()
        return {
            "bench": self.bench.name,
            "pid": os.getpid(),
            "seed": self.seed,
            "t_mono": now,
            "up_s": now - self.started,
            "late_steps": self.late_steps,
            "grid": {
                "frequency_hz": self.grid.frequency_hz,
                "voltage_v": self.grid.voltage_v,
                "house_load_w": self.grid.house_load_w,
                "power_w": self.grid_power_w(),
                "import_wh": self.site_meter.import_kwh * 1000,
                "export_wh": self.site_meter.export_kwh * 1000,
            },
            "evses": {str(n): e.state(now) for n, e in self.evses.items()},
            "link": self.link.state(),
            "faults": {n: f.active for n, f in self.devices().items() if f.active},
            "ceiling_hit": next(
                (e.ceiling_hit for e in self.evses.values() if e.ceiling_hit), ""
            ),
            "wires": {
                pty.path.name: {
                    "dropped_bytes": pty.dropped_bytes,
                    "wrong_baud": pty.garbled,
                }
                for pty in self.ptys.values()
            },
        }


def _orders(evse: EvseRig) -> dict[str, Any]:
    """The stage's setpoint as the wire left it."""
    want = evse.stage.setpoint
    return {
        "on": want.on,
        "discharge": want.discharge,
        "voltage_v": want.voltage_v,
        "current_a": want.current_a,
        "cutoff_v": want.cutoff_v,
    }


def _evse_sample(evse: EvseRig) -> dict[str, Any]:
    plant = evse.plant
    state = {} if evse.ev is None else evse.ev.state()
    return {
        "ac_w": round(sum(evse.phases_w()), 2),
        "dc_v": round(plant.connector_v, 3),
        "dc_a": round(plant.current_a, 4),
        "soc_pct": state.get("soc_pct"),
        "pilot": evse.mcu.pilot_state,
        "dc_closed": plant.dc.closed,
        "stage": {**_orders(evse), "at_mono": evse.stage.setpoint.at},
    }
