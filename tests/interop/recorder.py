"""A pytest plugin that writes down what stations say and hear in other tests.

Owns the file that CHARGERD_RECORD names: one JSON object a line, each shape of a
message once. Judges nothing and changes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chargerd.clock import Now
from chargerd.ocpp.effects import Answer, Effect, Later, Payload, Reply, Send, Tell
from chargerd.ocpp.station import OcppStation

Key = tuple[str, str, str, frozenset[str]]
MAX_SHAPES = 60  # of one message

found: dict[Key, dict[str, Any]] = {}
promised: dict[tuple[int, int], tuple[str, Payload]] = {}


def shape(value: Any, path: str = "") -> Iterator[str]:
    """Every field that is there; of an enumeration with its value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from shape(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from shape(inner, path + "[]")
    elif isinstance(value, str) and value.replace(".", "").isalpha():
        yield f"{path}={value}"
    else:
        yield path


def note(station: OcppStation, kind: str, action: str, said: Any, heard: Any) -> None:
    """`said` left the station, `heard` came to it."""
    if not isinstance(said, dict) or not isinstance(heard, dict):
        return
    version = station._desk.version
    key = (kind, version, action, frozenset(shape(said)))
    if key in found:
        found[key]["heard"] = found[key]["heard"] or json.loads(json.dumps(heard))
        return
    if sum(k[:3] == key[:3] for k in found) >= MAX_SHAPES:
        return
    found[key] = {
        "kind": kind, "version": version, "action": action,
        "said": json.loads(json.dumps(said)), "heard": json.loads(json.dumps(heard)),
    }  # fmt: skip


call, result, to_send = OcppStation.call, OcppStation.result, OcppStation.to_send


def _call(self: OcppStation, action: str, payload: Payload, now: Now) -> Answer | Later:
    answer = call(self, action, payload, now)
    if isinstance(answer, Later):
        promised[id(self), answer.handle] = action, payload
    note(self, "answer", action, answer, payload)
    return answer


def _result(
    self: OcppStation,
    handle: int,
    action: str,
    request: Payload,
    answer: Answer,
    now: Now,
) -> None:
    note(self, "call", action, request, answer)
    result(self, handle, action, request, answer, now)


def _to_send(self: OcppStation) -> list[Effect]:
    effects = to_send(self)
    for effect in effects:
        if isinstance(effect, Send):
            note(self, "call", effect.action, effect.payload, {})
        elif isinstance(effect, Tell):
            note(self, "tell", effect.action, effect.payload, {})
        elif isinstance(effect, Reply) and (id(self), effect.handle) in promised:
            action, payload = promised.pop((id(self), effect.handle))
            note(self, "answer", action, effect.answer, payload)
    return effects


def pytest_configure(config: pytest.Config) -> None:
    """From here on every station is listened to."""
    for name, listening in (
        ("call", _call),
        ("result", _result),
        ("to_send", _to_send),
    ):
        setattr(OcppStation, name, listening)


def pytest_sessionfinish(session: pytest.Session) -> None:
    lines = [json.dumps(row) for row in found.values()]
    Path(os.environ["CHARGERD_RECORD"]).write_text("\n".join(lines) + "\n")
