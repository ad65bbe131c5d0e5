"""The list of grid doors: only what is configured, and a clear word for what lacks."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from chargerd.config import Config
from chargerd.config_grid import Broker, SiteBus
from chargerd.grid import build
from chargerd.grid.errors import GridError
from chargerd.grid.ports import Ports
from tests.unit.grid.stand import config, ports

SITE = {"members": ["a", "b"], "coordinators": ["a"], "charge_w": 10_000}
S2 = {"url": "ws://localhost/s2", "evse": 9}


def test_nothing_configured_means_no_door_and_no_import() -> None:
    assert build.build(config(), ports()[0]) == []


def test_a_door_is_made_by_its_own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("chargerd.grid.mqtt_door")

    def made(asked: Config, given: Ports) -> Any:
        return (asked.grid.mqtt, given)

    module.build = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "chargerd.grid.mqtt_door", module)
    given, _ = ports()
    asked = config(mqtt={"tls": False})
    assert build.build(asked, given) == [(asked.grid.mqtt, given)]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SOURCES", (("mqtt", "no_such_door", "mqtt"),))
    with pytest.raises(GridError, match=r"grid\.mqtt: needs .*install chargerd\[mqtt"):
        build.build(config(mqtt={}), ports()[0])


def test_each_door_that_cannot_be_made_is_named() -> None:
    gone = {"ca": "/gone/ca.pem"}
    asked = config(mqtt=gone, site={**SITE, **gone, "members": ["CS1"]}, s2=S2)
    tables = [line.split(": ")[0] for line in build.problems(asked, ports()[0])]
    assert tables == ["grid.mqtt", "grid.site", "grid.s2.evse"]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"host": "broker", "tls": False}, "without TLS"),
        ({"certificate": "/x.pem"}, "belong together"),
        ({"key": "/x.pem"}, "belong together"),
    ],
)
def test_a_broker_that_cannot_be(values: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Broker.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"host": "broker", "tls": False, "insecure": True},
        {"host": "::1", "tls": False},
        {"certificate": "/x.pem", "key": "/x.key"},
    ],
)
def test_a_broker_that_can(values: dict[str, Any]) -> None:
    Broker.model_validate(values)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"members": ["a", "a"]}, "named twice"),
        ({"coordinators": ["a", "a"]}, "named twice"),
        ({"safe_w": 5001}, "lower safe_w"),
        ({"every_s": 5, "lease_s": 17}, "2.5 times"),
        ({"members": []}, "at least 1"),
        ({"members": ["a/+"]}, "pattern"),
        ({"site": "#"}, "pattern"),
    ],
)
def test_a_site_that_cannot_be(values: dict[str, Any], word: str) -> None:
    SiteBus.model_validate(SITE)
    with pytest.raises(ValueError, match=word):
        SiteBus.model_validate({**SITE, **values})
