"""The MQTT door's shell without a broker: it waits, says why, and hands things on."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from chargerd.config import Config
from chargerd.grid import build, mqtt_link
from chargerd.grid.errors import GridError
from chargerd.grid.mqtt_door import MqttDoor
from chargerd.model import PromiseRequest
from hil.stand import free_port
from tests.cancel import Spoils
from tests.process import until
from tests.unit.grid.stand import Told, at, config, ports, report

TOPIC = "chargerd/CS1/evse/1"


def door(told: Told, **changes: Any) -> MqttDoor:
    made = build.build(config(mqtt={"tls": False, **changes}), ports(told)[0])[0]
    assert isinstance(made, MqttDoor)
    return made


@pytest.mark.asyncio
async def test_no_broker_is_a_state_not_an_end() -> None:
    made = door(Told(), port=free_port())

    async def refused() -> bool:
        return bool(made.status()["problem"])

    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.run())
        await until("the refusal is known", refused, 20.0)
        made.report(report())  # dropped: nobody is there
        assert not task.done()
        task.cancel()
    assert made.status()["connected"] is False
    assert made.status()["connects"] == 0


class Rejecting:
    """A broker that lets us in and throws us out at once."""

    async def __aenter__(self) -> Rejecting:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def subscribe(self, topic: str, qos: int, timeout: float) -> None:  # noqa: ASYNC109 - as aiomqtt
        raise aiomqtt.MqttError("another client has our name")


@pytest.mark.asyncio
async def test_who_is_thrown_out_again_and_again_waits_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = door(Told())
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            raise asyncio.CancelledError

    monkeypatch.setattr(mqtt_link.Link, "_client", lambda _: Rejecting())
    monkeypatch.setattr(mqtt_link.random, "uniform", lambda low, high: high)
    monkeypatch.setattr(mqtt_link.asyncio, "sleep", wait)
    with pytest.raises(asyncio.CancelledError):
        await made.run()
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [None, aiomqtt.MqttError("timed out")])
async def test_a_cancel_that_aiomqtt_loses_is_heeded(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """Its wait_for gives an answer that meets the cancel; leaving it may fail, too."""
    made, spoils = door(Told()), Spoils(error)
    monkeypatch.setattr(Rejecting, "subscribe", spoils)
    monkeypatch.setattr(mqtt_link.Link, "_client", lambda _: Rejecting())
    assert await spoils.ends(made.run())
    assert made.status()["connects"] == 0


@pytest.mark.parametrize("key", ["ca", "certificate"])
def test_a_missing_file_is_named_at_the_start(key: str, tmp_path: Path) -> None:
    files = {"ca": None, "certificate": None, "key": None}
    files[key] = files["key"] = str(tmp_path / "none.pem")
    if key == "ca":
        files["key"] = None
    with pytest.raises(GridError, match="check ca, certificate, key"):
        door(Told(), tls=True, **files)


def test_a_station_id_with_a_wildcard() -> None:
    asked = config(mqtt={"tls": False})
    values = {**asked.model_dump(), "station": {"id": "CS/+"}}
    with pytest.raises(GridError, match="MQTT topic"):
        build.build(Config.model_validate(values), ports()[0])


def test_what_is_commanded_reaches_the_heart_in_the_same_call() -> None:
    told = Told()
    made = door(told)
    made._receive(f"{TOPIC}/setpoint_w/set", b"-3000", False)
    made._receive(f"{TOPIC}/promise/set", b"null", False)
    prices = {
        "until_utc": "2026-11-25T14:00:00Z",
        "parts": [{"start_utc": "2026-11-25T12:00:00Z", "buy_per_kwh": 30}],
    }
    made._receive("chargerd/CS1/prices/set", json.dumps(prices).encode(), True)
    assert [s.segments[0].setpoint_w for s in told.signals] == [-3000.0]
    assert told.requests == [PromiseRequest(1, None)]
    assert [p.parts[0].buy_per_kwh for p in told.prices] == [30.0]
    assert made.status()["refused"] == {}


def test_retained_prices_wait_for_the_time_of_day() -> None:
    """They come with the connection, the clock with the central system's answer."""
    told = Told()
    made = door(told)
    prices = {
        "until_utc": "2026-11-25T14:00:00Z",
        "parts": [{"start_utc": "2026-11-25T12:00:00Z", "buy_per_kwh": 30}],
    }
    given, made._ports = (
        made._ports,
        replace(made._ports, now=lambda: at(100.0, trusted=False)),
    )
    for buy in (20, 30):  # the newest counts
        prices["parts"][0]["buy_per_kwh"] = buy  # type: ignore[index]
        made._receive("chargerd/CS1/prices/set", json.dumps(prices).encode(), True)
    unset = report()
    unset = replace(
        unset, snapshot=replace(unset.snapshot, now=at(100.0, trusted=False))
    )
    made.report(unset)
    assert told.prices == []
    made._ports = given
    for _ in range(2):
        made.report(report())
    assert [p.parts[0].buy_per_kwh for p in told.prices] == [30.0]
    assert made.status()["refused"] == {"clock": 2}


def test_what_the_heart_refuses_is_counted() -> None:
    told = Told(accept=False)
    made = door(told)
    made._receive(f"{TOPIC}/setpoint_w/set", b"-3000", False)
    made._receive(f"{TOPIC}/setpoint_w/set", b"{", False)
    assert made.status()["refused"] == {"heart": 1, "malformed": 1}
