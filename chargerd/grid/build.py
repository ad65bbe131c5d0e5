"""From the configuration to the grid doors that it asks for: the one list of sources.

Imports a door's module only when it is configured: an unused door costs no memory, and
its packages need not be installed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from chargerd.config import Config
from chargerd.grid.errors import GridError
from chargerd.grid.ports import GridDoor, Ports

# Key under [grid]; the module in this package that has
# `build(config: Config, ports: Ports) -> GridDoor`; the extra its packages come with.
SOURCES = (
    ("mqtt", "mqtt_door", "mqtt"),
    ("site", "site_door", "mqtt"),
    ("echonet", "echonet_door", ""),
    ("sunspec", "sunspec_door", ""),
    ("openadr2", "openadr2_door", "openadr2"),
    ("openadr3", "openadr3_door", "openadr3"),
    ("ieee2030_5", "ieee2030_5_door", "ieee2030_5"),
    ("s2", "s2_door", "s2"),
)


def build(config: Config, ports: Ports) -> list[GridDoor]:
    """Every configured door, none of them connected yet. Raises GridError."""
    return [_door(*source, config, ports) for source in _asked(config)]


def problems(config: Config, ports: Ports) -> list[str]:
    """Of each configured door, why it cannot be made."""
    found = []
    for source in _asked(config):
        try:
            _door(*source, config, ports)
        except GridError as error:
            found.append(str(error))
    return found


def _asked(config: Config) -> list[tuple[str, str, str]]:
    return [source for source in SOURCES if getattr(config.grid, source[0]) is not None]


def _door(key: str, module: str, extra: str, config: Config, ports: Ports) -> GridDoor:
    try:
        maker: Callable[[Config, Ports], GridDoor] = import_module(
            f"chargerd.grid.{module}"
        ).build
    except ModuleNotFoundError as error:
        package = error.name or "a package"
        raise GridError(
            f"grid.{key}: needs {package}, which is not installed; "
            f"install chargerd[{extra}] or remove the section"
        ) from error
    return maker(config, ports)
