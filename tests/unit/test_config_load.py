"""Configuration: every problem at once with file, key and reason; no secret shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from chargerd import config_check, config_load
from chargerd.config import Config
from chargerd.config_load import ConfigError, load

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config" / "chargerd.toml"
CCS = ROOT / "config" / "ccs.toml"
GRID = ROOT / "config" / "grid.toml"
POLICIES = sorted((ROOT / "config" / "policies").glob("*.toml"))
GOOD = """
[station]
id = "CS1"
[[evse]]
id = 1
[[evse.connectors]]
id = 1
[evse.devices.pilot]
driver = "chargebyte"
at = "serial:/dev/ttyS1"
[evse.devices.meter]
driver = "eastron_sdm630"
at = "modbus-tcp:127.0.0.1:502"
[ocpp]
url = "wss://csms.example/"
security_profile = 2
password = "sixteen-letters!"
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "chargerd.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _problems(
    folder: Path, text: str, environ: dict[str, str] | None = None
) -> list[str]:
    path = _write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_the_shipped_file_is_good_and_says_what_it_means() -> None:
    config = load(SHIPPED, {})
    assert [evse.id for evse in config.evse] == [1, 2]
    assert config.evse[1].devices.meter.unit == 2
    assert config.site.export_permit
    assert config_check.warnings(config) == [
        "ocpp.url: ws:// is not encrypted; use it inside a VPN only"
    ]


def test_the_generated_schema_is_current() -> None:
    text = (ROOT / "config" / "schema.json").read_text(encoding="utf-8")
    assert text == config_load.schema_text(), (
        "run: python -m chargerd.config_load > config/schema.json"
    )


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ('id = "CS1"', "", "station.id", "is missing"),
        ("[station]", "[staton]", "staton", "did you mean 'station'?"),
        ("[station]", '[station]\nvendr = "x"', "station.vendr", "did you mean 'vend"),
        (
            "[[evse.connectors]]\nid = 1",
            "[[evse.connectors]]\nid = 1\ntyp = 'x'",
            "evse[0].connectors[0].typ",
            "did you mean 'type'?",
        ),
        ("[ocpp]", "[ocpp]\nzzz = 1", "ocpp.zzz", "unknown key; remove it"),
        (
            "[[evse]]\nid = 1",
            "[[evse]]\nid = 1\ncharge_w = nan",
            "evse[0].charge_w",
            "finite",
        ),
        (
            "[[evse]]\nid = 1",
            "[[evse]]\nid = 1\ncharge_w = 1e400",
            "evse[0].charge_w",
            "finite",
        ),
        (
            "[[evse]]\nid = 1",
            "[[evse]]\nid = 1\ncharge_w = -5",
            "evse[0].charge_w",
            "(is -5)",
        ),
        (
            "[[evse]]\nid = 1",
            "[[evse]]\nid = 1\nvoltage_min_v = 600",
            "evse[0].voltage_min_v",
            "is over voltage_max_v",
        ),
        ("wss://", "ws://", "ocpp.url", "profile 2 needs wss://"),
        ("wss://", "http://", "ocpp.url", "must start with wss:// or ws://"),
        ('password = "sixteen-letters!"', "", "ocpp.password", "is missing"),
        ("sixteen-letters!", "short-canary", "ocpp.password", "has 12 characters"),
        ('id = "CS1"', 'id = "C:1"', "station.id", "without"),
        ("[ocpp]", '[ocpp]\nidentity = "a:b"', "ocpp.identity", "':'"),
        ("serial:/dev", "tty:/dev", "evse[0].devices.pilot.at", "must start with"),
        (
            "[ocpp]",
            '[evse.devices.chademo]\ndriver = "can"\nat = "serial:/dev/x"\n[ocpp]',
            "evse[0].devices.chademo.at",
            "must start with can:",
        ),
        (
            "[ocpp]",
            '[evse.devices.chademo]\ndriver = "can"\nat = "can:socketcan/can0"\n[ocpp]',
            "evse[0].devices.stage",
            "needs a power stage",
        ),
        (
            "[[evse.connectors]]\nid = 1",
            "[[evse.connectors]]\nid = 1\n[[evse.connectors]]\nid = 1",
            "evse[0].connectors",
            "not unique",
        ),
    ],
)
def test_each_mistake_is_named(
    tmp_path: Path, old: str, new: str, key: str, reason: str
) -> None:
    assert old in GOOD
    lines = _problems(tmp_path, GOOD.replace(old, new, 1))
    hits = [line for line in lines if line.startswith(f"{key}: ")]
    assert hits, lines
    assert reason in hits[0]
    assert "canary" not in "".join(lines)


@given(
    st.integers(0, len(GOOD) - 1),
    st.integers(0, 40),
    st.sampled_from(
        ["", "[", "]]", '"', "\n", "=", "nan", "-1e400", "{}", "\x00", "x"]
    ),
    st.sampled_from(
        ["EVSE", "EVSE__0", "OCPP__URL", "OCPP__DEVICE_MODEL__A", "SITE__X"]
    ),
    st.text(max_size=8),
)
@settings(max_examples=200)
def test_any_damage_is_a_config_error_or_a_config(
    at: int, cut: int, put: str, name: str, value: str
) -> None:
    text = GOOD[:at] + put + GOOD[at + cut :]
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), text)
        problems, shown = [], ""
        try:
            config = load(path, {f"CHARGERD__{name}": value})
        except ConfigError as error:
            problems, shown = error.problems, str(error)
    assert problems or config.evse
    assert "sixteen-letters" not in shown


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    text = GOOD.replace('id = "CS1"', 'id = ""\ncolour = "red"').replace(
        "security_profile = 2", "security_profile = 9"
    )
    keys = {line.split(":")[0] for line in _problems(tmp_path, text)}
    assert keys == {"station.id", "station.colour", "ocpp.security_profile"}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            '[vehicle.promise]\ntimezone = "Asia/Tokio"',
            "vehicle.promise.timezone: 'Asia/Tokio' is no time zone",
        ),
        (
            '[vehicle.promise]\ntimezone = "/etc/passwd"',
            "vehicle.promise.timezone: '/etc/passwd' is no time zone",
        ),
        (
            '[vehicle.promise]\ndeparture = "7:30"',
            'vehicle.promise.departure: write HH:MM, e.g. "07:30"',
        ),
        (
            '[local]\nmetrics = "0.0.0.0:9464"',
            "local.metrics: '0.0.0.0:9464' is no loopback",
        ),
        ('[local]\nmetrics = "127.0.0.1"', "local.metrics: '127.0.0.1' is no loopback"),
        (f'[local]\nsocket = "/{"x" * 107}"', "local.socket: is over 107 bytes long"),
        (
            '[evse.devices.reader]\ndriver = "ascii_reader"\n'
            'at = "serial:/dev/ttyS1?baud=9"',
            "evse[0].devices.reader.at: 'serial:/dev/ttyS1?baud=9' unit 1 is "
            "evse[0].devices.pilot already",
        ),
    ],
)
def test_what_would_fail_later_is_said_now(
    tmp_path: Path, table: str, expected: str
) -> None:
    text = GOOD.replace("[ocpp]", f"{table}\n[ocpp]")
    (problem,) = _problems(tmp_path, text)
    assert expected in problem


VTN = '[grid.openadr3]\nven_name = "v"\nurl = "https://vtn.example/3"\n'


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (VTN + "poll_s = 600", "grid.openadr3.poll_s: at most a third of hold_s"),
        (VTN + 'key = "/x"', "grid.openadr3: certificate and key belong together"),
        (VTN + 'client_secret = "x"', "grid.openadr3.client_secret: needs client_id"),
        (VTN + 'programs = "a"', "grid.openadr3.programs: must be a list"),
        (VTN + "ca = 5", "grid.openadr3.ca: must be a path in quotes (is 5)"),
        (
            VTN.replace("adr3", "adr2") + 'vtn_fingerprint = "00ff"',
            'grid.openadr2.vtn_fingerprint: write ten pairs of hex digits, "00:',
        ),
        (
            '[grid.ieee2030_5]\nurl = "https://u.example"\ndevice_capability = "d"',
            "grid.ieee2030_5.device_capability: write a path that begins with /",
        ),
    ],
)
def test_a_wrong_door_of_the_grid_is_said_in_words(
    tmp_path: Path, table: str, expected: str
) -> None:
    (problem,) = _problems(tmp_path, GOOD + table)
    assert problem.startswith(expected)


def test_of_a_list_the_wrong_value_is_named(tmp_path: Path) -> None:
    text = GOOD + 'versions = ["ocpp1.6"]'
    assert _problems(tmp_path, text) == [
        "ocpp.versions[0]: input should be 'ocpp2.1' or 'ocpp2.0.1' (is 'ocpp1.6')"
    ]


@pytest.mark.parametrize(
    "table",
    [
        VTN + "client_id = 'c'\nclient_secret = 4711",
        '[grid.s2]\nurl = "wss://cem.example"\ntoken = 4711',
        "[grid.mqtt]\npassword = 4711",
        '[ocpp.device_model]\n"SecurityCtrlr.BasicAuthPassword" = [4711]',
        '[ocpp.device_model]\n"WebPaymentsCtrlr@1.SharedSecret" = [4711]',
    ],
)
def test_a_secret_of_a_wrong_type_is_not_shown(tmp_path: Path, table: str) -> None:
    lines = _problems(tmp_path, GOOD + table)
    assert lines
    assert "4711" not in "".join(lines)


def test_two_evses_of_one_id(tmp_path: Path) -> None:
    second = GOOD[GOOD.index("[[evse]]") : GOOD.index("[ocpp]")]
    second = second.replace("ttyS1", "ttyS2").replace("127.0.0.1", "127.0.0.2")
    text = GOOD.replace("[ocpp]", second + "[ocpp]")
    assert _problems(tmp_path, text) == ["evse[1].id: 1 is used twice"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[station\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"a = " + b"[" * 50_000, "is not TOML"),
        (b"#" * 1_000_001, "is over 1000000 bytes"),
    ],
)
def test_a_file_that_is_no_configuration(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason):
        load(path, {})
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "absent.toml", {})


def test_environment_overrides_every_kind_of_value(tmp_path: Path) -> None:
    config = load(
        _write(tmp_path, GOOD),
        {
            "CHARGERD__OCPP__URL": "wss://other.example/",
            "CHARGERD__OCPP__PASSWORD": "1234567890123456",
            "CHARGERD__OCPP__VERSIONS": '["ocpp2.0.1"]',
            "CHARGERD__OCPP__DEVICE_MODEL__OCPPCommCtrlr.HeartbeatInterval": "60",
            "CHARGERD__EVSE__0__CHARGE_W": "3300",
            "CHARGERD__EVSE__0__AC_PHASES": "3",
            "CHARGERD__EVSE__0__CONNECTORS__1__ID": "2",
            "CHARGERD__EVSE__0__DEVICES__PILOT__AT": "serial:/dev/ttyS9?baud=1&x=y",
            "CHARGERD__VEHICLE__PROMISE__DEPARTURE": "07:30",
            "CHARGERD__VEHICLE__CHADEMO__DISCHARGE": "false",
            "CHARGERD__STATION__SERIAL": "42",
            "CHARGERD__STORE__PATH": "/x/y.db",
            "CHARGERD_CONFIG": "ignored",
            "PATH": "ignored",
        },
    )
    assert config.ocpp.url == "wss://other.example/"
    assert config.ocpp.password == SecretStr("1234567890123456")
    assert config.ocpp.versions == ("ocpp2.0.1",)
    assert config.ocpp.device_model == {"OCPPCommCtrlr.HeartbeatInterval": 60}
    assert config.evse[0].charge_w == 3300
    assert config.evse[0].ac_phases == 3
    assert [c.id for c in config.evse[0].connectors] == [1, 2]
    assert config.evse[0].devices.pilot.at == "serial:/dev/ttyS9?baud=1&x=y"
    assert config.vehicle.promise.departure == "07:30"
    assert config.vehicle.chademo.discharge is False
    assert config.station.serial == "42"
    assert str(config.store.path) == "/x/y.db"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("CHARGERD__EVSE__7__ID", "1", "no index of a list of 1"),
        ("CHARGERD__EVSE__X__ID", "1", "no index"),
        ("CHARGERD__STATION__ID__X", "1", "inside a value"),
        ("CHARGERD__STATION____ID", "1", "empty step"),
        ("CHARGERD__STATON__ID", "1", "did you mean 'station'?"),
        ("CHARGERD__SITE__EXPORT_W", "1\nimport_w = 2", "valid number"),
    ],
)
def test_a_wrong_variable_is_named(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    lines = _problems(tmp_path, GOOD, {name: text})
    assert any(reason in line for line in lines), lines


def test_warnings_name_what_is_probably_not_meant(tmp_path: Path) -> None:
    config = load(_write(tmp_path, GOOD), {})
    assert [line.split(":")[0] for line in config_check.warnings(config)] == [
        "site.export_permit",
        "site.meter",
        "ocpp.certificates_dir",
    ]
    odd = GOOD.replace("id = 1\n[evse.dev", 'id = 1\ntype = "CHAdeMO"\n[evse.dev')
    odd += (
        '[local]\ngroup = "no-such-group-here"\n[vehicle.promise]\nfloor_soc_pct = 90'
    )
    text = "\n".join(config_check.warnings(load(_write(tmp_path, odd), {})))
    assert "evse[0].connectors[0].type: 'CHAdeMO'" in text
    assert "cG105 = CHAdeMO" in text
    assert "local.group" in text
    assert "floor_soc_pct: is over target" in text


def test_files_that_are_not_here_are_named(tmp_path: Path) -> None:
    """The doors' processes read them later; what cannot be looked at is not here."""
    door = '[grid.ieee2030_5]\nurl = "https://u.example"\n'
    files = f'ca = "{SHIPPED}"\ncertificate = "/gone.pem"\nkey = "/{"x" * 300}"'
    found = config_check.warnings(load(_write(tmp_path, GOOD + door + files), {}))
    assert [line.split(":")[0] for line in found if line.startswith("grid")] == [
        "grid.ieee2030_5.certificate",
        "grid.ieee2030_5.key",
    ]


def test_an_extra_that_is_wanted_and_not_here_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = '[ocpp.transfer]\nprotocols = ["SFTP"]\n[ocpp.firmware]\n'
    text = GOOD + table + 'installer = "rauc"\n[site.plan]'
    config = load(_write(tmp_path, text), {})
    for missing in (True, False):
        monkeypatch.setattr(
            config_check, "find_spec", lambda name, gone=missing: None if gone else name
        )
        found = "\n".join(config_check.warnings(config))
        for extra in ("sftp", "rauc", "planner"):
            assert (f"install chargerd[{extra}]" in found) is missing


def test_a_modem_without_its_unit_is_named(tmp_path: Path) -> None:
    text = CCS.read_text(encoding="utf-8").replace('"lo"', '"plc0"', 1)
    slac = "evse[0].iso15118.slac"
    found = config_check.warnings(load(_write(tmp_path, text), {}))
    assert [line for line in found if line.startswith(slac)]
    text = text.replace('"plc0"', '"plc0"\nslac = "/run/slac.sock"', 1)
    found = config_check.warnings(load(_write(tmp_path, text), {}))
    assert not [line for line in found if line.startswith(slac)]


def test_time_zones_are_known_on_a_bare_machine() -> None:
    """As in a container without the system's own: our dependency brings them."""
    code = "from zoneinfo import ZoneInfo; ZoneInfo('Asia/Tokyo')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONTZPATH": ""}, timeout=20, check=False
    )
    assert done.returncode == 0


def test_no_secret_in_any_dump(tmp_path: Path) -> None:
    preset = '[ocpp.device_model]\n"SecurityCtrlr.BasicAuthPassword" = "canary"'
    config = load(_write(tmp_path, GOOD + preset), {})
    assert "canary" not in json.dumps(config_load.dump(config))
    for text in (
        json.dumps(config_load.dump(config)),
        repr(config),
        str(config),
        json.dumps(config_load.schema()),
    ):
        assert "sixteen-letters" not in text
    assert config_load.dump(config)["ocpp"]["password"] == "**********"


def test_the_grid_s_tables_can_be_copied(tmp_path: Path) -> None:
    config = load(_write(tmp_path, GOOD + GRID.read_text(encoding="utf-8")), {})
    grid = config.grid
    assert all(getattr(grid, name) is not None for name in type(grid).model_fields)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_a_grid_code_is_read_from_its_file(tmp_path: Path, policy: Path) -> None:
    (tmp_path / policy.name).write_text(policy.read_text(encoding="utf-8"))
    site = f'\n[site]\ngrid_code = "{policy.name}"\n'
    config = load(_write(tmp_path, GOOD + site), {})
    assert config.site.grid_code.name == policy.stem


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ('grid_code = "gone.toml"', "site.grid_code: 'gone.toml' cannot be read"),
        (
            'nominal_hz = 50\nfrequency_service = {name = "fcr", power_w = 1000}',
            "site.frequency_service.name: 'fcr'",
        ),
        (
            "grid_code = {services = {a = {points = [[1, 0], [-1, 1]]}}}",
            "site.grid_code.services.a.points: frequencies must ascend",
        ),
        (
            "grid_code = {charge_power_factor = 0.5}",
            "site.grid_code.charge_power_factor: must be 0.8 to 1",
        ),
        (
            "blackout = {}",
            "site.blackout: needs site.meter",
        ),
        (
            "grid_code = {volt_watt = [[1.1, 1], [1.0, 0]]}",
            "site.grid_code.volt_watt: voltages must ascend",
        ),
    ],
)
def test_a_wrong_grid_code_is_named(tmp_path: Path, site: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(_write(tmp_path, GOOD + f"\n[site]\n{site}\n"), {})
    assert words in str(caught.value)


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = next(config_load._models_in(field.annotation), None)
        if inner is None:
            yield f"{prefix}{name}"
        else:
            yield from _keys(inner, f"{prefix}{name}.")


@pytest.mark.parametrize("key", list(_keys(Config)))
def test_the_shipped_files_show_every_key(key: str) -> None:
    """As a value, or as a comment that shows one. Tables of values: their header."""
    paths = (SHIPPED, CCS, GRID, *POLICIES)
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    name = key.rpartition(".")[2]
    assert re.search(rf"^(# )?{name} = |\[{re.escape(key)}\]", text, re.M), key
