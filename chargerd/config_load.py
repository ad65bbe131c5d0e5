"""From TOML and environment to a `Config`, or every reason why not.

`CHARGERD__OCPP__URL=...` overrides `[ocpp] url`; lists go by index
(`CHARGERD__EVSE__0__CHARGE_W`). Checks across tables are in `config_check.py`. Reads
the file, nothing else; never shows a secret.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from chargerd.config import Config
from chargerd.config_check import contradictions
from chargerd.log import REDACTED, is_secret

PREFIX = "CHARGERD__"
MAX_BYTES = 1_000_000
_IN_TOML = {  # where pydantic speaks of Python's types
    "tuple_type": "must be a list",
    "path_type": "must be a path in quotes",
    "too_short": "needs at least {min_length} value that is right",
}


class ConfigError(Exception):
    """Everything that is wrong; `str()` gives one `file: key: reason` a line."""

    def __init__(self, path: Path, problems: list[tuple[str, str]]) -> None:
        self.path = path
        self.problems = problems
        super().__init__(
            "\n".join(
                f"{path}: {key}: {reason}" if key else f"{path}: {reason}"
                for key, reason in problems
            )
        )


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read `path`, lay `CHARGERD__...` of `environ` over it, check all of it.

    Raises ConfigError with every problem at once.
    """
    problems: list[tuple[str, str]] = []
    tree = _read(path, "; give --config or CHARGERD_CONFIG")
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX):
            problem = _override(tree, name, text)
            if problem:
                problems.append((name, problem))
    problems += _files(tree, path)
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        problems += _explained(error.errors(include_url=False))
        raise ConfigError(path, problems) from None
    problems += contradictions(config)
    if problems:
        raise ConfigError(path, problems)
    return config


def dump(config: Config) -> dict[str, Any]:
    """Plain JSON values of everything, secrets as `**********` ("" stays "")."""
    values: dict[str, Any] = config.model_dump(mode="json")
    presets = values["ocpp"]["device_model"]
    for name in presets:
        if is_secret(name):  # "SecurityCtrlr.BasicAuthPassword"
            presets[name] = REDACTED
    return values


def schema() -> dict[str, Any]:
    """The JSON schema of the file, for editors; `config/schema.json` holds it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chargerd.toml",
        **Config.model_json_schema(),
    }


def schema_text() -> str:
    """`config/schema.json`, byte for byte (`python -m chargerd.config_load`)."""
    return json.dumps(schema(), indent=2, sort_keys=True) + "\n"


def _read(path: Path, hint: str = "") -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else error
        reason = f"cannot be read: {why}{hint}"
        raise ConfigError(path, [("", reason)]) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(path, [("", f"is over {MAX_BYTES} bytes")])
    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(path, [("", f"is not TOML: {error}")]) from error


def _files(tree: dict[str, Any], path: Path) -> list[tuple[str, str]]:
    """A file's name where a table may stand becomes the table; it is beside `path`."""
    vehicle = tree.get("vehicle")
    batteries = vehicle.get("batteries") if isinstance(vehicle, dict) else None
    names = list(batteries) if isinstance(batteries, dict) else []
    places = [
        ("site", tree.get("site"), "grid_code"),
        ("vehicle", vehicle, "battery"),
        *((f"evse[{n}]", e, "battery") for n, e in enumerate(_rows(tree.get("evse")))),
        *(("vehicle.batteries", batteries, name) for name in names),
    ]
    problems = []
    for table, held, key in places:
        name = held.get(key) if isinstance(held, dict) else None
        if not isinstance(held, dict) or not isinstance(name, str):
            continue
        try:
            held[key] = _read(path.parent / name)
        except ConfigError as error:
            held[key] = {}
            problems += [(f"{table}.{key}", f"{name!r} {w}") for _, w in error.problems]
    return problems


def _rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _override(tree: dict[str, Any], name: str, text: str) -> str:
    """Set one value in place; returns what is wrong with it, or ""."""
    written = name.removeprefix(PREFIX).split("__")
    steps = [step.lower() for step in written]
    if not all(steps):
        return "empty step; write CHARGERD__TABLE__KEY"
    if steps[:2] == ["ocpp", "device_model"] and len(steps) > 2:
        steps[2:] = ["__".join(written[2:])]  # OCPP's names keep their case
    value = _value(steps, text)
    here: Any = tree
    for step, following in zip(steps, [*steps[1:], ""], strict=True):
        last = following == ""
        fresh: Any = [] if following.isdigit() else {}
        if isinstance(here, list):
            index = int(step) if step.isdigit() else -1
            if not 0 <= index <= min(len(here), 99):
                return f"{step!r} is no index of a list of {len(here)}"
            if index == len(here):
                here.append(fresh)
            if last:
                here[index] = value
            else:
                here = here[index]
        elif isinstance(here, dict):
            if last:
                here[step] = value
            else:
                here = here.setdefault(step, fresh)
        else:
            return f"{step!r} stands inside a value, not a table"
    return ""


def _value(steps: list[str], text: str) -> Any:
    """A TOML value if it is one (`6000`, `true`, `["ocpp2.1"]`), else the text.

    Where the configuration holds text, `12` and `08:00` stay text.
    """
    try:
        value = tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    if isinstance(value, str):
        return value
    field = _table(steps[:-1]).get(steps[-1])
    return text if field and field.annotation in (str, SecretStr, Path) else value


def _explained(found: Sequence[Any]) -> list[tuple[str, str]]:
    """Without "too short" of a list whose members are what is wrong."""
    inside = {tuple(item["loc"][:n]) for item in found for n in range(len(item["loc"]))}
    return [
        _explain(item)
        for item in found
        if item["type"] != "too_short" or tuple(item["loc"]) not in inside
    ]


def _explain(item: Any) -> tuple[str, str]:
    """One pydantic error as (key, reason), without the input where it is secret."""
    location: tuple[Any, ...] = tuple(item["loc"])
    key = _dotted(location)
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(
            str(location[-1]), list(_table(location[:-1])), n=1, cutoff=0.6
        )
        hint = f"; did you mean {near[0]!r}?" if near else "; remove it"
        return key, f"unknown key{hint}"
    if item["type"] == "missing":
        return key, "is missing"
    reason = _IN_TOML.get(item["type"], "").format(**item.get("ctx", {})) or item["msg"]
    field = _table(location[:-1]).get(str(location[-1]))
    if item["type"] == "string_pattern_mismatch" and field and field.description:
        reason = f"write {field.description}"
    if item["type"] == "value_error":  # a table's own check; most begin with the key
        reason = reason.removeprefix("Value error, ")
        name, _, rest = reason.partition(": ")
        if rest and name in _table(location):
            key, reason = f"{key}.{name}", rest
    value = item.get("input")
    secret = any(is_secret(str(step)) for step in location)
    if not secret and isinstance(value, str | int | float | bool):
        reason += f" (is {value!r})"
    return key, reason[:1].lower() + reason[1:]


def _dotted(location: tuple[Any, ...]) -> str:
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _table(location: Sequence[Any]) -> dict[str, FieldInfo]:
    """The fields of the table at `location`; {} if there is no such table."""
    model: type[BaseModel] = Config
    for step in location:
        if isinstance(step, int) or step.isdigit():
            continue
        field = model.model_fields.get(step)
        inner = next(_models_in(field.annotation), None) if field else None
        if inner is None:
            return {}
        model = inner
    return model.model_fields


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


if __name__ == "__main__":
    import sys

    sys.stdout.write(schema_text())
