"""Short ways to present a token, and to hear what the heart was told."""

from __future__ import annotations

from typing import Any

from chargerd.model import Authorisation, AuthQuestion, Token
from tests.unit.ocpp.station_rig import CARD, V21, Rig, config

ACCEPTED = {"status": "Accepted"}
OTHER = Token("0BADCAFE", "ISO14443")


def ask(rig: Rig, token: Token = CARD, evse_id: int = 1) -> None:
    """The heart wants to know whether this token is good there."""
    rig.station.ask(AuthQuestion(evse_id, token), rig.now)
    rig.drain()


def answers(rig: Rig) -> list[Authorisation]:
    return [r for r in rig.asked() if isinstance(r, Authorisation)]


def asked(rig: Rig) -> Authorisation:
    """The one answer."""
    (answer,) = answers(rig)
    return answer


def reply(rig: Rig, info: dict[str, Any] | None = None, **more: Any) -> None:
    """The central system's answer to the last Authorize."""
    rig.answer(rig.last("Authorize"), {"idTokenInfo": info or ACCEPTED, **more})


def good(rig: Rig, token: Token = CARD, evse_id: int = 1) -> bool:
    """Is it accepted, by what is known here? Nobody may be asked."""
    rig.clear()
    ask(rig, token, evse_id)
    assert rig.payloads("Authorize") == []
    return asked(rig).accepted


def group(name: str) -> dict[str, Any]:
    return {"groupIdToken": {"idToken": name, "type": "Central"}}


def id_token(token: Token = CARD) -> dict[str, Any]:
    return {"idToken": token.value, "type": token.kind}


def known(version: str = V21, **presets: Any) -> Rig:
    """A rig whose cache knows the card, offline."""
    rig = Rig(config(device_model=presets), version=version).boot()
    ask(rig)
    reply(rig)
    rig.link(up=False)
    rig.clear()
    return rig
