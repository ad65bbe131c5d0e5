"""The MQTT door beside Mosquitto: commands, state, discovery, will, restarts, TLS."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from tests.interop.mosquitto import (
    Mosquitto,
    collect,
    needs_mosquitto,
    password_file,
)
from tests.process import Plant, patient_bench, station, until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180), needs_mosquitto]

BASE = "chargerd/CS-0001"
ENV = "CHARGERD__GRID__MQTT__"


@asynccontextmanager
async def charger(tmp_path: Path, broker: Mosquitto) -> AsyncIterator[Plant]:
    """A station with a car in energy, beside the broker."""
    environment = {f"{ENV}PORT": str(broker.port), f"{ENV}TLS": "false"}
    async with station(
        tmp_path / "stand",
        bench=patient_bench(tmp_path),
        CHARGERD__STATION__ID="CS-0001",
        **environment,
    ) as plant:
        await plant.start_session()
        yield plant


async def power_is(plant: Plant, power_w: float) -> None:
    async def there() -> bool:
        return abs(await plant.power_w() - power_w) < 300.0

    await until(f"{power_w} W at the terminals", there, 20.0)


@pytest.mark.asyncio
async def test_a_day_at_the_broker(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    await broker.start()
    try:
        async with (
            charger(tmp_path, broker) as plant,
            aiomqtt.Client("127.0.0.1", broker.port) as client,
        ):
            seen: dict[str, aiomqtt.Message] = {}
            await client.subscribe("#", qos=1)
            await collect(client, seen, f"{BASE}/status", b"online")
            last = "homeassistant/switch/CS-0001_evse2/enable/config"
            await collect(client, seen, last, b"")
            await collect(client, seen, f"{BASE}/evse/1/phase/state", b"energy")
            await commands_move_power(plant, client)
            await bad_commands_do_not(plant, client)
            configs = {t: m for t, m in seen.items() if t.startswith("homeassistant/")}
            discovery_is_whole({t: bytes(m.payload) for t, m in configs.items()})
            plant.stand.kill("daemon", signal.SIGKILL)
            await collect(client, seen, f"{BASE}/status", b"offline")
            await plant.stand.start_daemon(
                **{f"{ENV}PORT": str(broker.port), f"{ENV}TLS": "false"},
                CHARGERD__STATION__ID="CS-0001",
            )
            await collect(client, seen, f"{BASE}/status", b"online")
            assert await plant.stand.end("daemon") == 0
            await collect(client, seen, f"{BASE}/status", b"offline")  # a clean goodbye
    finally:
        broker.stop()


async def commands_move_power(plant: Plant, client: aiomqtt.Client) -> None:
    await client.publish(f"{BASE}/evse/1/setpoint_w/set", "-3000")
    await power_is(plant, -3000.0)
    await client.publish(
        f"{BASE}/evse/1/setpoint_w/set", '{"value": -1500, "ttl_s": 2}'
    )
    await power_is(plant, -1500.0)
    await power_is(plant, 6000.0)  # its life is over: the plan charges
    await client.publish(f"{BASE}/evse/1/mode/set", "pause")
    await power_is(plant, 0.0)
    await client.publish(f"{BASE}/evse/1/mode/set", "auto")
    await power_is(plant, 6000.0)
    await client.publish(f"{BASE}/evse/1/max_current_a/set", "10")
    await power_is(plant, 10 * (await volts(plant)))
    await client.publish(f"{BASE}/evse/1/max_current_a/set", "null")


async def volts(plant: Plant) -> float:
    """Of the configuration in use, times its phases."""
    config = (await plant.stand.local.ask(verb="config"))["config"]
    evse = config["evse"][0]
    return float(evse["ac_voltage_v"] * evse["ac_phases"])


async def bad_commands_do_not(plant: Plant, client: aiomqtt.Client) -> None:
    await client.publish(f"{BASE}/evse/1/setpoint_w/set", "-2000")
    await power_is(plant, -2000.0)
    for payload in (b"NaN", b"9e9", b"{", b"[" * 60_000, b'{"value":1,"value":2}'):
        await client.publish(f"{BASE}/evse/1/setpoint_w/set", payload)
    await client.publish(f"{BASE}/evse/1/setpoint_w/set", "5000", retain=True)
    await client.publish(f"{BASE}/evse/1/setpoint_w/set", b"", retain=True)
    for _ in range(300):
        await client.publish(f"{BASE}/evse/1/session/set", "stop")

    async def counted() -> bool:
        station_ = (await plant.stand.local.ask(verb="status"))["station"]
        refused = station_["grid"]["mqtt"]["refused"]
        return bool(refused.get("unauthorised", 0) + refused.get("flood", 0) >= 100)

    await until("the flood counted", counted, 20.0)
    assert (await plant.status())["phase"] == "energy"


def discovery_is_whole(configs: dict[str, bytes]) -> None:
    """By Home Assistant's pages on each component: the keys it must have."""
    must = {
        "sensor": {"state_topic"},
        "binary_sensor": {"state_topic"},
        "number": {"command_topic", "min", "max"},
        "select": {"command_topic", "options"},
        "switch": {"command_topic"},
    }
    assert len(configs) >= 20
    for topic, text in configs.items():
        component = topic.split("/")[1]
        payload = json.loads(text)
        missing = {*must[component], "unique_id", "device", "origin"} - payload.keys()
        assert not missing, topic
        assert payload["availability_topic"] == f"{BASE}/status"


@pytest.mark.asyncio
async def test_a_broker_that_goes_and_comes_back_knows_everything(
    tmp_path: Path,
) -> None:
    broker = Mosquitto(tmp_path / "broker")
    await broker.start()
    try:
        async with charger(tmp_path, broker) as plant:
            for number in (signal.SIGTERM, signal.SIGKILL):
                broker.stop(number)
                await broker.start()
                async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                    seen: dict[str, aiomqtt.Message] = {}
                    await client.subscribe("#", qos=1)
                    await collect(client, seen, f"{BASE}/status", b"online")
                    await collect(client, seen, f"{BASE}/evse/1/state", b"")
                    await client.publish(f"{BASE}/evse/1/setpoint_w/set", "-2500")
                    await power_is(plant, -2500.0)
    finally:
        broker.stop()


@pytest.mark.asyncio
async def test_a_broker_that_hangs_does_not_hold_a_stop(tmp_path: Path) -> None:
    """Neither the last word nor the disconnect is ever acknowledged."""
    broker = Mosquitto(tmp_path / "broker")
    await broker.start()
    try:
        async with charger(tmp_path, broker) as plant:
            async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                await client.subscribe(f"{BASE}/status", qos=1)
                await collect(client, {}, f"{BASE}/status", b"online")
            broker.send(signal.SIGSTOP)
            assert await plant.stand.end("daemon", 12.0) == 0
            broker.send(signal.SIGCONT)
    finally:
        broker.stop(signal.SIGKILL)


ACL = """
user charger
topic readwrite chargerd/CS-0001/#
topic write homeassistant/#
user home
topic read chargerd/#
topic write chargerd/CS-0001/evse/1/mode/set
"""


def certificates(folder: Path) -> None:
    """A CA, a server's and a client's certificate, by OpenSSL."""
    folder.mkdir()

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        *("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem"),
        *("-days", "2", "-subj", "/CN=ca"),
    )
    for name in ("server", "client"):
        openssl(
            *("req", "-x509", *curve, "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-days", "2", "-subj", f"/CN={name}", "-CA", "ca.pem"),
            *("-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )


@pytest.mark.asyncio
async def test_tls_certificates_passwords_and_an_access_list(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    certificates(pki)
    (tmp_path / "acl").write_text(ACL)
    users = password_file(tmp_path, charger="pass-1", home="pass-2")
    broker = Mosquitto(
        tmp_path / "broker",
        config=(
            f"allow_anonymous false\npassword_file {users}\nacl_file {tmp_path}/acl\n"
            f"cafile {pki}/ca.pem\ncertfile {pki}/server.pem\n"
            f"keyfile {pki}/server.key\n"
            "require_certificate true\ntls_version tlsv1.2\n"
        ),
    )
    await broker.start()
    given = {
        "PORT": str(broker.port),
        "CA": f"{pki}/ca.pem",
        "CERTIFICATE": f"{pki}/client.pem",
        "KEY": f"{pki}/client.key",
        "USERNAME": "charger",
        "PASSWORD": "pass-1",
    }
    environment = {ENV + key: value for key, value in given.items()}
    tls = aiomqtt.TLSParameters(
        ca_certs=f"{pki}/ca.pem",
        certfile=f"{pki}/client.pem",
        keyfile=f"{pki}/client.key",
    )
    try:
        async with (
            station(
                tmp_path / "stand",
                bench=patient_bench(tmp_path),
                CHARGERD__STATION__ID="CS-0001",
                **environment,
            ) as plant,
            aiomqtt.Client(
                "127.0.0.1",
                broker.port,
                username="home",
                password="pass-2",
                tls_params=tls,
            ) as home,
        ):
            await plant.start_session()
            seen: dict[str, aiomqtt.Message] = {}
            await home.subscribe("chargerd/#", qos=1)
            await collect(home, seen, f"{BASE}/status", b"online")
            await home.publish(f"{BASE}/evse/1/setpoint_w/set", "-3000")  # not allowed
            await home.publish(f"{BASE}/evse/1/mode/set", "pause")
            await power_is(plant, 0.0)
            grid = (await plant.stand.local.ask(verb="status"))["station"]["grid"]
            assert grid["mqtt"]["accepted"] == 1
            assert "pass-1" not in plant.stand.log("daemon", 10_000)
    finally:
        broker.stop()
