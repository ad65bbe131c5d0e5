"""Home Assistant's MQTT discovery: which entities this station has.

Pure. Source: home-assistant.io/integrations/mqtt (single component discovery, topic
`<prefix>/<component>/<node>/<object>/config`), and the pages of each component.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chargerd.config import Evse, Station
from chargerd.config_grid import Mqtt
from chargerd.grid.mqtt_commands import MODES

Json = dict[str, Any]

# key of the state, name, unit, device class, state class
_SENSORS = (
    ("power_w", "Power", "W", "power", "measurement"),
    ("setpoint_w", "Setpoint", "W", "power", "measurement"),
    ("soc_pct", "State of charge", "%", "battery", "measurement"),
    ("energy_in_wh", "Energy charged", "Wh", "energy", "total_increasing"),
    ("energy_out_wh", "Energy discharged", "Wh", "energy", "total_increasing"),
    ("phase", "Session", None, None, None),
    ("pilot_state", "Pilot", None, None, None),
    ("mode", "Mode", None, None, None),
    ("source", "Decided by", None, None, None),
)
_FLEXIBILITY = (
    ("up_w", "Flexibility up", "W", "power"),
    ("down_w", "Flexibility down", "W", "power"),
    ("up_wh", "Flexibility up energy", "Wh", "energy_storage"),
    ("down_wh", "Flexibility down energy", "Wh", "energy_storage"),
)


def entities(
    config: Mqtt, station: Station, evses: tuple[Evse, ...], base: str, version: str
) -> Iterator[tuple[str, Json]]:
    """(topic, payload) of every entity, to be retained. `base` is PREFIX/STATION."""
    for evse in evses:
        node = f"{_plain(station.id)}_evse{evse.id}"
        shared: Json = {
            "availability_topic": f"{base}/status",
            "device": {
                "identifiers": [node],
                "name": f"{station.id} EVSE {evse.id}",
                "manufacturer": station.vendor,
                "model": station.model,
                "sw_version": version,
            },
            "origin": {"name": "chargerd", "sw": version},
        }
        topic = f"{base}/evse/{evse.id}"
        for component, key, payload in (
            *_sensors(topic),
            *_controls(config, evse, topic),
        ):
            unique = {"unique_id": f"{node}_{component}_{key}"}
            yield (
                f"{config.discovery}/{component}/{node}/{key}/config",
                {**shared, **unique, **payload},
            )


def _plain(text: str) -> str:
    """Discovery topics take letters, digits, "_" and "-" only."""
    return "".join(
        c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in text
    )


def _sensors(topic: str) -> Iterator[tuple[str, str, Json]]:
    for key, name, unit, kind, course in _SENSORS:
        payload = {
            "name": name,
            "state_topic": f"{topic}/state",
            "value_template": f"{{{{ value_json.{key} }}}}",
            "unit_of_measurement": unit,
            "device_class": kind,
            "state_class": course,
        }
        yield "sensor", key, _said(payload)
    for key, name, unit, kind in _FLEXIBILITY:
        template = f"{{{{ (value_json.flexibility or {{}}).get('{key}') }}}}"
        payload = {
            "name": name,
            "state_topic": f"{topic}/state",
            "value_template": template,
            "unit_of_measurement": unit,
            "device_class": kind,
            "state_class": "measurement",
        }
        yield "sensor", f"flexibility_{key}", payload
    yield (
        "binary_sensor",
        "fault",
        {
            "name": "Fault",
            "device_class": "problem",
            "state_topic": f"{topic}/state",
            "value_template": "{{ 'ON' if value_json.faults else 'OFF' }}",
            "json_attributes_topic": f"{topic}/state",
            "json_attributes_template": "{{ {'faults': value_json.faults} | tojson }}",
        },
    )


def _controls(config: Mqtt, evse: Evse, topic: str) -> Iterator[tuple[str, str, Json]]:
    """Only what may be commanded. They are optimistic: a command runs out by itself."""
    ranges = (
        ("setpoint_w", "Power setpoint", -evse.discharge_w, evse.charge_w),
        ("charge_limit_w", "Charge limit", 0.0, evse.charge_w),
        ("discharge_limit_w", "Discharge limit", 0.0, evse.discharge_w),
    )
    for key, name, low, high in ranges:
        if key in config.commands and high > low:
            payload = {
                "name": name,
                "command_topic": f"{topic}/{key}/set",
                "min": low,
                "max": high,
                "step": 100,
                "mode": "box",
                "unit_of_measurement": "W",
                "device_class": "power",
            }
            yield "number", key, payload
    if "mode" in config.commands:
        modes = [m for m in MODES if m != "discharge" or evse.discharge_w > 0.0]
        wish = {"name": "Wish", "command_topic": f"{topic}/mode/set", "options": modes}
        yield "select", "wish", wish
    for key, name, state in (
        ("enable", "Enabled", "enabled"),
        ("operative", "In service", "operative"),
    ):
        if key in config.commands:
            payload = {
                "name": name,
                "command_topic": f"{topic}/{key}/set",
                "state_topic": f"{topic}/{state}/state",
                "payload_on": "true",
                "payload_off": "false",
            }
            yield "switch", key, payload
    if "session" in config.commands:
        for word in ("start", "stop"):
            yield (
                "button",
                word,
                {
                    "name": word.capitalize(),
                    "command_topic": f"{topic}/session/set",
                    "payload_press": word,
                },
            )


def _said(payload: Json) -> Json:
    return {key: value for key, value in payload.items() if value is not None}
