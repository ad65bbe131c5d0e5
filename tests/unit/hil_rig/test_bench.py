"""The bench file: the shipped one loads, wrong ones are refused with file and key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

import hil
from hil.rig.bench import load, parse
from hil.rig.faults import RigError

VIRTUAL = Path(hil.__file__).parent / "benches" / "virtual.yaml"


def raw() -> dict[str, Any]:
    content = yaml.safe_load(VIRTUAL.read_text())
    assert isinstance(content, dict)
    return content


def test_the_shipped_bench() -> None:
    bench = load(VIRTUAL)
    assert [evse.id for evse in bench.evses] == [1, 2]
    assert bench.limits.power_w == 22_000
    assert bench.evses[1].stage.link == "evse2-stage"


def test_moved() -> None:
    bench = load(VIRTUAL).moved(Path("/x"), 100)
    assert str(bench.dir) == "/x"
    ports = (bench.modbus_tcp, bench.link_listen, bench.link_upstream)
    assert [address.port for address in ports] == [15120, 19100, 9100]
    with pytest.raises(RigError, match="ports-offset"):
        bench.moved(None, 60_000)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (("limits", "power_w"), None, "limits: missing key 'power_w'"),
        (("limits", "power_w"), float("nan"), "limits.power_w"),
        (("limits", "power_w"), -1, "limits.power_w"),
        (("limits", "unattended"), "yes", "limits.unattended"),
        (("speed",), 1, "unknown keys"),
        (("grid",), None, "missing keys"),
        (("grid", "frequency"), 50, "grid: unknown keys"),
        (("modbus_tcp",), "15020", "host:port"),
        (("evses",), [], "evses"),
        (("evses", 0, "id"), 0, "evses\\[0\\].id"),
        (("evses", 0, "id"), 2, "same id"),
        (("evses", 0, "mcu", "link"), "../../etc/x", "mcu.link"),
        (("evses", 0, "mcu", "model"), "other", "use chargebyte"),
        (("evses", 1, "meter", "unit"), 10, "share a Modbus unit"),
        (("evses", 0, "stage"), 5, "a table is needed"),
    ],
)
def test_refused(path: tuple[str | int, ...], value: Any, text: str) -> None:
    content = copy.deepcopy(raw())
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(RigError, match=text):
        parse(content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="nowhere"):
        load(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(RigError, match=r"bad\.yaml"):
        load(tmp_path / "bad.yaml")
