"""EcoG's EVCC as a car: runs in the wheel's venv, in the vehicle's namespace.

Started with one JSON object (the case); commands come as JSON lines on stdin, every
V2G message goes out as a JSON line on stdout. Its pilot, contactor and power are those
of the rig's external vehicle, over the rig's control socket. Must never import ours.
"""

# ruff: noqa: E402
from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import threading
import time
from typing import Any

FACTS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # the wheel logs to stdout, which is for our lines

from iso15118.evcc import Config, EVCCHandler
from iso15118.evcc.controller.simulator import SimEVController
from iso15118.evcc.evcc_config import EVCCConfig
from iso15118.shared.exificient_exi_codec import ExificientEXICodec
from iso15118.shared.messages import datatypes as v2
from iso15118.shared.messages.enums import ControlMode, ServiceV20, UnitSymbol
from iso15118.shared.messages.iso15118_20 import ac as ac20
from iso15118.shared.messages.iso15118_20 import common_messages as common20
from iso15118.shared.messages.iso15118_20 import dc as dc20
from iso15118.shared.messages.iso15118_20.common_types import (
    DisplayParameters,
    RationalNumber,
)

NEAR_V = 20.0  # the contactor closes within this of the battery's voltage
_print_lock = threading.Lock()


def tell(**fact: Any) -> None:
    """One line for whoever started us."""
    with _print_lock:
        FACTS.write(json.dumps(fact, default=str) + "\n")
        FACTS.flush()


def rational(value: float) -> RationalNumber:
    """One decimal is enough here."""
    if value == int(value) and abs(value) < 32_000:
        return RationalNumber(exponent=0, value=int(value))
    exponent = -1 if abs(value) < 3_000 else 1
    return RationalNumber(exponent=exponent, value=round(value / 10**exponent))


class Electrics:
    """The car's pins, contactor and AC power: the rig's external vehicle's."""

    def __init__(self, path: str, connector: int) -> None:
        self._connector = connector
        self._now: dict[str, Any] = {"state": "B", "contactor": False, "power_w": 0.0}
        link = socket.socket(socket.AF_UNIX)
        link.connect(path)
        self._lines = link.makefile("rw")

    def set(self, **wanted: Any) -> None:
        """`state` (pilot), `contactor`, `power_w` (AC; negative feeds in)."""
        if all(self._now.get(key) == value for key, value in wanted.items()):
            return
        self._now.update(wanted)
        tell(electrics=dict(self._now))
        line = {"verb": "pilot", "connector": self._connector, **self._now}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        answer = json.loads(self._lines.readline())
        if not answer["ok"]:
            raise RuntimeError(f"the rig refused {line}: {answer}")


class Codec(ExificientEXICodec):
    """The wheel's own codec; tells every message and moves the pins in time."""

    def __init__(self, electrics: Electrics, car: Car) -> None:
        super().__init__()
        self._electrics, self._car = electrics, car
        self._sent = 0.0
        self._stopping = False

    def encode(self, message: str, namespace: str) -> bytes:
        exi = super().encode(message, namespace)
        name, body = _named(json.loads(message), namespace)
        if name:
            self._before(name, body)
            tell(said=name, body=body)
            self._sent = time.monotonic()
        return exi

    def decode(self, stream: bytes, namespace: str) -> str:
        taken_s = time.monotonic() - self._sent
        text = super().decode(stream, namespace)
        message = json.loads(text)
        name, body = _named(message, namespace)
        tell(heard=name, body=body, ms=round(taken_s * 1000.0, 2))
        if name == "PowerDeliveryRes" and self._stopping:
            self._electrics.set(state="B", contactor=False)
        elif name in ("AC_ChargeLoopRes", "ChargingStatusRes"):
            self._electrics.set(power_w=self._car.drawn_w(_ac_bounds_w(name, body)))
        return json.dumps(message) if _overlooked(body) else text

    def _before(self, name: str, body: dict[str, Any]) -> None:
        """IEC 61851-1: C asks for energy, B ends it."""
        if name.endswith("CableCheckReq"):
            self._electrics.set(state="C")
        elif name == "PowerDeliveryReq":
            progress = body.get("ChargeProgress", body.get("ReadyToChargeState"))
            if progress in ("Start", True):
                self._electrics.set(state="C")
            elif progress in ("Stop", False):
                self._stopping = True
                self._electrics.set(power_w=0.0)
        elif name == "SessionStopReq":
            self._electrics.set(state="B", contactor=False)


def _overlooked(body: dict[str, Any]) -> bool:
    """The wheel fails at a wish for a new schedule: this car overlooks it."""
    wish = body.get("EVSEStatus", {}).get("EVSENotification")
    if wish != "ScheduleRenegotiation":
        return False
    del body["EVSEStatus"]
    return True


def _ac_bounds_w(name: str, body: dict[str, Any]) -> tuple[float, float]:
    """What the station lets the on-board charger do: a target is both bounds."""
    if name == "ChargingStatusRes":  # one phase of 230 V
        most = body["EVSEMaxCurrent"]
        return 0.0, 230.0 * most["Value"] * 10.0 ** most["Multiplier"]
    (mode,) = (v for k, v in body.items() if k.endswith("CLResControlMode"))
    target = mode.get("EVSETargetActivePower")
    if target is None:
        return -1e5, 1e5
    target_w = target["Value"] * 10.0 ** target["Exponent"]
    return target_w, target_w


def _named(message: dict[str, Any], namespace: str) -> tuple[str, dict[str, Any]]:
    """Name and fields of a whole message; ("", {}) for a signed fragment."""
    if "V2G_Message" in message:
        message = message["V2G_Message"]["Body"]
    elif namespace.endswith("MsgDef"):
        return "", {}
    name = next(iter(message))
    if not name.endswith(("Req", "Res")):
        return "", {}
    return name, message[name]


class Car(SimEVController):
    """A car with a battery, which asks for what the case says."""

    def __init__(self, config: EVCCConfig, case: dict[str, Any], pins: Electrics):
        super().__init__(config)
        self._case, self._pins = case, pins
        self._soc = int(case.get("soc", 60))
        self._battery_v = float(case["battery_v"])
        self._stop = False
        self._loops = 0
        self._precharged = False
        self.target_a = float(case.get("target_a", 20.0))
        self.ac_power_w = float(case.get("ac_power_w", 7_000.0))
        self._set_dc_params()

    def _set_dc_params(self) -> None:
        volts = self._case["max_v"] if self._precharged else self._battery_v
        amps = max(0.0, self.target_a) if self._precharged else 1.0
        params = self.dc_ev_charge_params
        params.dc_max_current_limit = v2.PVEVMaxCurrentLimit(
            multiplier=0, value=60, unit=UnitSymbol.AMPERE
        )
        params.dc_max_power_limit = v2.PVEVMaxPowerLimit(
            multiplier=1, value=2200, unit=UnitSymbol.WATT
        )
        params.dc_max_voltage_limit = v2.PVEVMaxVoltageLimit(
            multiplier=0, value=round(self._case["max_v"]), unit=UnitSymbol.VOLTAGE
        )
        params.dc_energy_capacity = v2.PVEVEnergyCapacity(
            multiplier=1, value=4_000, unit=UnitSymbol.WATT_HOURS
        )
        params.dc_target_current = v2.PVEVTargetCurrent(
            multiplier=0, value=round(amps), unit=UnitSymbol.AMPERE
        )
        params.dc_target_voltage = v2.PVEVTargetVoltage(
            multiplier=0, value=round(volts), unit=UnitSymbol.VOLTAGE
        )

    def command(self, line: dict[str, Any]) -> None:
        """A wish of the test."""
        self._stop = self._stop or bool(line.get("stop"))
        self.target_a = float(line.get("target_a", self.target_a))
        self.ac_power_w = float(line.get("ac_power_w", self.ac_power_w))
        self._set_dc_params()

    def drawn_w(self, bounds_w: tuple[float, float]) -> float:
        """The on-board charger's power inside what the station lets it do."""
        low_w, high_w = bounds_w
        return 0.0 if self._stop else min(max(self.ac_power_w, low_w), high_w)

    # -- choices ---------------------------------------------------------------

    async def select_energy_service_v20(self, services: list[Any]) -> Any:
        """By name; of its parameter sets of the control mode one with prices if there
        is one: the wheel refuses a schedule without, which the schema allows.
        """
        wanted = ServiceV20[self._case["service"]]
        mode = ControlMode[self._case["control"].upper()].value
        tell(offered=[service.service.name for service in services])
        service = next(s for s in services if s.service is wanted)
        found = [(_values(one), one) for one in service.parameter_sets]
        fitting = [each for each in found if each[0]["ControlMode"] == mode]
        values, chosen = max(fitting, key=lambda each: each[0]["Pricing"])
        tell(chosen=values)
        return common20.SelectedEnergyService(
            service=wanted, is_free=service.is_free, parameter_set=chosen
        )

    async def continue_charging(self) -> bool:
        self._loops += 1
        return not self._stop and self._loops <= int(self._case.get("max_loops", 5_000))

    async def is_charging_complete(self) -> bool:
        return self._stop

    async def ready_to_charge(self) -> bool:
        return not self._stop

    async def get_display_params(self) -> Any:
        """With its capacity: without, the promise to the driver would come first."""
        return DisplayParameters(
            present_soc=self._soc,
            charging_complete=self._stop,
            battery_energy_capacity=rational(40_000),
        )

    async def get_scheduled_se_params(self, selected_energy_service: Any) -> Any:
        """As in dynamic control; a minimum of 0 or more would forbid to discharge."""
        return common20.ScheduledScheduleExchangeReqParams(
            departure_time=4 * 3_600,
            ev_target_energy_request=rational(10_000),
            ev_max_energy_request=rational(14_000),
            ev_min_energy_request=rational(-10_000),
        )

    async def get_dynamic_se_params(self, selected_energy_service: Any) -> Any:
        """5 kWh may be taken out before the V2X window's floor is met."""
        return common20.DynamicScheduleExchangeReqParams(
            departure_time=4 * 3_600,
            min_soc=30,
            target_soc=80,
            ev_target_energy_request=rational(10_000),
            ev_max_energy_request=rational(14_000),
            ev_min_energy_request=rational(-10_000),
            ev_max_v2x_energy_request=rational(5_000),
            ev_min_v2x_energy_request=rational(-5_000),
        )

    async def process_scheduled_se_params(self, *given: Any) -> Any:
        """The simulator's answer without its coin toss."""
        return await _decided(super().process_scheduled_se_params, *given)

    async def process_dynamic_se_params(self, *given: Any) -> Any:
        return await _decided(super().process_dynamic_se_params, *given)

    # -- DC --------------------------------------------------------------------

    async def is_precharged(self, present_voltage_evse: Any) -> bool:
        near = abs(present_voltage_evse.get_decimal_value() - self._battery_v) < NEAR_V
        if near and not self._precharged:
            self._precharged = True
            self._pins.set(contactor=True)
            self._set_dc_params()
        return self._precharged

    async def get_dc_ev_power_delivery_parameter_dinspec(self) -> Any:
        return None

    async def get_present_voltage(self) -> RationalNumber:
        return rational(self._battery_v)

    async def get_target_voltage(self) -> RationalNumber:
        return rational(self._battery_v)

    async def get_charge_params_v20(self, selected_service: Any) -> Any:
        if selected_service.service in (ServiceV20.AC, ServiceV20.AC_BPT):
            return await super().get_charge_params_v20(selected_service)
        charge = {
            "ev_max_charge_power": rational(22_000),
            "ev_min_charge_power": rational(100),
            "ev_max_charge_current": rational(60),
            "ev_min_charge_current": rational(0),
            "ev_max_voltage": rational(self._case["max_v"]),
            "ev_min_voltage": rational(self._case["min_v"]),
        }
        if selected_service.service == ServiceV20.DC:
            return dc20.DCChargeParameterDiscoveryReqParams(**charge)
        return dc20.BPTDCChargeParameterDiscoveryReqParams(
            **charge,
            ev_max_discharge_power=rational(15_000),
            ev_min_discharge_power=rational(0),
            ev_max_discharge_current=rational(40),
            ev_min_discharge_current=rational(0),
        )

    async def get_scheduled_dc_charge_loop_params(self) -> Any:
        return dc20.ScheduledDCChargeLoopReqParams(
            ev_target_current=rational(self.target_a),
            ev_target_voltage=rational(self._case["max_v"]),
        )

    async def get_dynamic_dc_charge_loop_params(self) -> Any:
        return dc20.DynamicDCChargeLoopReqParams(
            ev_target_energy_request=rational(10_000),
            ev_max_energy_request=rational(14_000),
            ev_min_energy_request=rational(-10_000),
            ev_max_charge_power=rational(22_000),
            ev_min_charge_power=rational(0),
            ev_max_charge_current=rational(60),
            ev_max_voltage=rational(self._case["max_v"]),
            ev_min_voltage=rational(self._case["min_v"]),
        )

    async def get_bpt_dynamic_dc_charge_loop_params(self) -> Any:
        charge = (await self.get_dynamic_dc_charge_loop_params()).dict()
        return dc20.BPTDynamicDCChargeLoopReqParams(
            **charge,
            ev_max_discharge_power=rational(15_000),
            ev_min_discharge_power=rational(0),
            ev_max_discharge_current=rational(40),
        )

    # -- AC --------------------------------------------------------------------

    async def get_ac_charge_loop_params_v20(self, control_mode: Any, service: Any):
        bpt = service == ServiceV20.AC_BPT
        present_w = rational(self.ac_power_w)
        if control_mode == ControlMode.SCHEDULED:
            kind = ac20.ScheduledACChargeLoopReqParams
            if bpt:
                kind = ac20.BPTScheduledACChargeLoopReqParams
            return kind(ev_present_active_power=present_w)
        dynamic = {
            "ev_target_energy_request": rational(10_000),
            "ev_max_energy_request": rational(14_000),
            "ev_min_energy_request": rational(-10_000),
            "ev_max_charge_power": rational(11_000),
            "ev_min_charge_power": rational(0),
            "ev_present_active_power": present_w,
            "ev_present_reactive_power": rational(0),
        }
        if not bpt:
            return ac20.DynamicACChargeLoopReqParams(**dynamic)
        return ac20.BPTDynamicACChargeLoopReqParams(
            **dynamic,
            ev_max_discharge_power=rational(11_000),
            ev_min_discharge_power=rational(0),
        )

    async def store_contract_cert_and_priv_key(
        self, contract_cert: bytes, priv_key: bytes
    ) -> None:
        tell(installed={"certificate": len(contract_cert), "key": len(priv_key)})


def _values(parameter_set: Any) -> dict[str, int]:
    """A parameter set's integers by name."""
    return {p.name: p.int_value for p in parameter_set.parameters}


async def _decided(ask: Any, *given: Any) -> Any:
    """The simulator says "not yet" by a coin; ask until it says yes."""
    while True:
        profile, progress = await ask(*given)
        if profile is not None:
            return profile, progress


def _listen(car: Car) -> None:
    for line in sys.stdin:
        car.command(json.loads(line))


async def main(case: dict[str, Any]) -> None:
    settings = Config()
    settings.load_envs()
    config = EVCCConfig(**case["config"])
    config.load_raw_values()
    pins = Electrics(case["rig"], int(case.get("connector", 1)))
    car = Car(config, case, pins)
    threading.Thread(target=_listen, args=(car,), daemon=True).start()
    codec = Codec(pins, car)
    logging.getLogger("iso15118.shared.comm_session").addHandler(_Ends())
    tell(ready=True)
    await EVCCHandler(
        evcc_config=config, iface=settings.iface, exi_codec=codec, ev_controller=car
    ).start()


class _Ends(logging.Handler):
    """Why the wheel ends a session is in its log alone."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("Reason: "):
            tell(over=text)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=os.environ.get("LOG_LEVEL", "INFO"))
    asyncio.run(main(json.loads(sys.argv[1])))
