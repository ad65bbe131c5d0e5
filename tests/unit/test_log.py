"""Logs: one JSON line with a priority, no secret in any of them, bounded in size."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from chargerd import log as chargerd_log
from chargerd.config import Log
from chargerd.model import StartRequest, Token

CANARY = "CANARY-7f3a"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def _setup(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["json", "console"] = "json",
) -> io.StringIO:
    out = io.StringIO()
    chargerd_log.setup(Log(level=level, format=form), out)
    return out


def _lines(out: io.StringIO) -> list[dict[str, Any]]:
    lines = out.getvalue().splitlines()
    return [json.loads(line[line.index(">") + 1 :]) for line in lines]


def test_a_line_is_json_with_the_journals_priority() -> None:
    out = _setup()
    log = structlog.get_logger("x")
    log.debug("not shown")
    log.info("first", evse_id=1)
    log.error("second", nested={"a": [1, 2]})
    assert [line[:3] for line in out.getvalue().splitlines()] == ["<6>", "<3>"]
    first, second = _lines(out)
    assert first["event"] == "first"
    assert first["evse_id"] == 1
    assert first["utc"].endswith("+00:00")
    assert second["nested"] == {"a": [1, 2]}


@pytest.mark.req("C04.FR.04")
@pytest.mark.parametrize("form", ["json", "console"])
def test_the_canary_is_in_no_line(form: Literal["json", "console"]) -> None:
    out = _setup("debug", form)
    log = structlog.get_logger("x").bind(id_token=CANARY)
    token = Token(CANARY, group=CANARY)
    log.info("tokens", token=token, request=StartRequest(1, token), many=[token])
    log.info("keys", password=CANARY, idToken={"idToken": CANARY}, evccid=CANARY,
             private_key=CANARY, ca_pem=CANARY, certificateChain=CANARY, mac=CANARY,
             Authorization=CANARY, ocpp={"basic-auth-password": CANARY})  # fmt: skip
    log.info("bodies", payload=CANARY.encode(), deep=[[[[[[CANARY]]]]]])
    log.warning("secret", value=SecretStr(CANARY), vehicle_id=CANARY)
    try:
        int("no secrets belong here")
    except ValueError:
        log.exception("failed", token=CANARY)
    text = out.getvalue()
    assert text.count("[redacted]") >= 15
    assert CANARY not in text
    assert "no secrets belong here" in text


@given(st.text(max_size=12), st.sampled_from(["", "x_", "BasicAuth", "A."]))
@settings(max_examples=60)
def test_no_spelling_of_a_secret_key_passes(junk: str, prefix: str) -> None:
    for name in ("password", "idToken", "id_token", "ID-TOKEN", "privateKey"):
        event = {prefix + name: junk + CANARY, "in": {prefix + name: CANARY}}
        cleaned = chargerd_log.redact(None, "info", event)
        assert CANARY not in json.dumps(cleaned)


def test_harmless_keys_stay() -> None:
    for name in ("power_w", "evse_id", "monkeys", "socket", "macro", "why", "event"):
        assert not chargerd_log.is_secret(name)


def test_a_line_is_bounded_and_cheap() -> None:
    out = _setup()
    log = structlog.get_logger("x")
    began = time.process_time()
    log.info("big", text="x" * 1_000_000, items=list(range(100_000)),
             nest={str(n): {"a": "y" * 10_000} for n in range(1000)})  # fmt: skip
    assert time.process_time() - began < 0.5
    assert len(out.getvalue()) < 150_000
    assert len(_lines(out)[0]["items"]) == 50


def test_a_dead_stream_never_reaches_the_caller() -> None:
    class Dead(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    chargerd_log.setup(Log(format="json"), Dead())
    structlog.get_logger("x").error("lost", evse_id=1)
    logging.getLogger("library").error("lost, too")
    closed = _setup()
    closed.close()
    structlog.get_logger("x").error("lost as well")


def test_libraries_speak_the_same_way_and_never_below_warning() -> None:
    out = _setup("debug")
    library = logging.getLogger("websockets.client")
    library.debug("> TEXT %s", CANARY)
    library.info("frame %s", CANARY)
    library.warning("closing %d", 1006)
    (line,) = _lines(out)
    assert line["event"] == "closing 1006"
    assert line["library"] == "websockets.client"
    assert line["level"] == "warning"
