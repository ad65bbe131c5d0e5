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
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

from hil.ev.base import Ev
from hil.rig import sdm630, view
from hil.rig.bench import Bench, EvseBench
from hil.rig.canbus import CanPort
from hil.rig.evse import EvseRig, Grid
from hil.rig.faults import Faults, RigError
from hil.rig.link import CsmsLink
from hil.rig.mcu import FRAME_BYTES
from hil.rig.modbus import RtuServer, Unit
from hil.rig.modbus_tcp import ModbusGateway
from hil.rig.sdm630 import Sdm630
from hil.rig.slcan import Frame
from hil.rig.trace import Trace, WireLog
from hil.rig.wires import Pty

STEP_S = 0.005
STEP_MAX_S = 0.02  # a late step is cut into pieces this long
CATCH_UP_S = 1.0  # ... but no more than this much of it
MakeEv = Callable[..., Ev]
STX = b"\x02"
ISLAND_V = 230.0


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
        self.grid = Grid(
            start.frequency_hz, start.voltage_v, start.house_load_w, start.relay
        )
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
        self.buses: dict[str, CanPort] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self.gateway = ModbusGateway(bench.modbus_tcp, self._modbus_units(), log)

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
        try:
            self._open_wires()
            await self.gateway.open()
            await self.link.start()
            self.ready.set()
            await self._move(stop)
        except OSError as error:
            raise RigError(f"the rig cannot open its wires: {error}") from error
        finally:
            await self.link.stop()
            await self.gateway.close()
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
                self.trace.sample(now, view.sample(self.grid, self.evses))
            due = max(due + STEP_S, monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(due - monotonic(), 0.0005)):
                    await stop.wait()

    def _step(self, now: float, dt_s: float) -> None:
        grid = self.grid
        self._switch_grid()
        sums = [grid.load_w, 0.0, 0.0]
        for number, evse in self.evses.items():
            out = evse.step(now, dt_s)
            bus_off = "bus_off" in evse.faults["vehicle"]
            self.buses[f"{number}.vehicle"].adapter.bus_off = bus_off
            for start in range(0, len(out.mcu), FRAME_BYTES):  # each is one answer
                frame = out.mcu[start : start + FRAME_BYTES]
                self.ptys[f"{number}.mcu"].send(evse.faults["mcu"].distort(frame))
            if out.vehicle:
                frames = [Frame(ident, data) for ident, data in out.vehicle]
                self.buses[f"{number}.vehicle"].put(frames)
            sums = [s + w for s, w in zip(sums, evse.phases_w(), strict=True)]
        if grid.relay_open:  # the meter sits before it
            sums = [0.0, 0.0, 0.0]
        self.site_meter.step(
            now, dt_s, (sums[0], sums[1], sums[2]), grid.voltage_v, grid.frequency_hz
        )

    def _switch_grid(self) -> None:
        """The relay, and who makes the voltage behind it: one, or none."""
        grid, evses = self.grid, list(self.evses.values())
        is_open = grid.relay and any(evse.mcu.open_grid for evse in evses)
        if is_open != grid.relay_open:
            grid.relay_open = is_open
            self.trace.event("grid_relay", open=is_open, line_v=grid.voltage_v)
        feeding = [evse for evse in evses if evse.feeds] if is_open else []
        grid.island_v = ISLAND_V if len(feeding) == 1 else 0.0
        for evse in evses:
            others = sum(e.plant.ac_w for e in evses if e is not evse)
            evse.island_load_w = grid.house_load_w + others

    # -- wires ------------------------------------------------------------------

    def _open_wires(self) -> None:
        log = self.log if self.log.on else None
        for part in self.bench.evses:
            evse, n, folder = self.evses[part.id], part.id, self.bench.dir
            self.ptys[f"{n}.mcu"] = Pty(
                folder / part.mcu.link, self._mcu_reader(evse), baud=115_200, log=log
            )
            stage, vehicle = part.stage, part.vehicle
            self.buses[f"{n}.stage"] = CanPort(
                folder / stage.link, stage.bitrate, self._stage_reader(evse), log
            )
            self.buses[f"{n}.vehicle"] = CanPort(
                folder / vehicle.link, vehicle.bitrate, self._vehicle_reader(evse), log
            )
            for role in ("stage", "vehicle"):
                self.ptys[f"{n}.{role}"] = self.buses[f"{n}.{role}"].pty
            imd, meter = part.insulation, part.meter
            unit = Unit(imd.unit, evse.insulation, evse.faults["insulation"])
            self._open_rtu(f"{n}.insulation", folder / imd.link, imd.baud, 11, unit)
            if meter.link:
                unit = Unit(meter.unit, evse.meter, evse.faults["meter"])
                self._open_rtu(f"{n}.meter", folder / meter.link, meter.baud, 10, unit)
            self.ptys[f"{n}.reader"] = Pty(
                folder / part.reader.link, _ignore, baud=part.reader.baud, log=log
            )

    def _open_rtu(
        self, role: str, path: Path, baud: int, bits: int, unit: Unit
    ) -> None:
        server = RtuServer(unit)

        def on_data(data: bytes, now: float) -> None:
            for answer in server.receive(data, now):
                self.ptys[role].send(unit.faults.distort(answer))

        log = self.log if self.log.on else None
        self.ptys[role] = Pty(path, on_data, baud=baud, bits_per_char=bits, log=log)

    def _mcu_reader(self, evse: EvseRig) -> Callable[[bytes, float], None]:
        def on_data(data: bytes, now: float) -> None:
            faults = evse.faults["mcu"]
            if not faults.deaf:
                answer = evse.mcu.receive(data, now)
                self.ptys[f"{evse.id}.mcu"].send(faults.distort(answer))

        return on_data

    def _stage_reader(self, evse: EvseRig) -> Callable[[Frame, float], None]:
        def on_frame(frame: Frame, now: float) -> None:
            if not frame.extended:
                return
            before = view.orders(evse)
            answers = evse.stage.receive(frame.ident, frame.data, now)
            after = view.orders(evse)
            if after != before:
                self.trace.event("stage_setpoint", evse=evse.id, at_mono=now, **after)
            out = [Frame(ident, body, extended=True) for ident, body in answers]
            self.buses[f"{evse.id}.stage"].put(out, evse.faults["stage"].delay_s())

        return on_frame

    def _vehicle_reader(self, evse: EvseRig) -> Callable[[Frame, float], None]:
        def on_frame(frame: Frame, now: float) -> None:
            if not frame.extended:
                evse.can(frame.ident, frame.data, now)

        return on_frame

    def swipe(self, number: int, token: str) -> None:
        """The reader's line: STX, the card's text, CR, LF."""
        line = STX + token.encode("ascii") + b"\r\n"
        faults = self.evse(number).faults["reader"]
        self.ptys[f"{number}.reader"].send(faults.distort(line))

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

    def state(self) -> dict[str, Any]:
        now = monotonic()
        return {
            "bench": self.bench.name,
            "pid": os.getpid(),
            "seed": self.seed,
            "t_mono": now,
            "up_s": now - self.started,
            "late_steps": self.late_steps,
            "grid": view.grid_state(self.grid, self.evses, self.site_meter),
            "evses": {str(n): view.evse_state(e, now) for n, e in self.evses.items()},
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


def _ignore(_data: bytes, _now: float) -> None:
    """A reader hears nothing from its host."""
