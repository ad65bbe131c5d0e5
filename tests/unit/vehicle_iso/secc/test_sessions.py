"""What one plug-in's sessions leave for the next: protocols that broke."""

from __future__ import annotations

from datetime import UTC, datetime

from chargerd.clock import Now
from chargerd.vehicle.iso15118 import sap
from chargerd.vehicle.iso15118.messages import iso2 as m
from chargerd.vehicle.iso15118.secc.flow import Session
from chargerd.vehicle.iso15118.secc.sessions import Sessions
from tests.unit.vehicle_iso.secc.plant import SETUP, Plant

NOW = Now(100.0, datetime(2026, 11, 25, tzinfo=UTC))


def sessions() -> Sessions:
    return Sessions(SETUP, lambda size: bytes(range(1, size + 1)), lambda: NOW)


def break_it(session: Session) -> None:
    """A request out of order."""
    plant = Plant()
    session.command(plant.step(session.state()), NOW.mono)
    header = m.MessageHeader(SessionID=bytes(8))
    body = m.Body(BodyElement=m.AuthorizationReq())
    session.request(m.V2G_Message(Header=header, Body=body), NOW.mono)


def test_a_protocol_that_broke_is_remembered_until_the_plug_is_out() -> None:
    made = sessions()
    assert not made.broken()
    break_it(made.make(sap.ISO2, 100.0, tls=False))
    assert made.broken() == {sap.ISO2}
    made.make(sap.DIN, 101.0, tls=False)
    assert made.broken() == {sap.ISO2}
    made.forget()
    assert not made.broken()


def test_a_session_that_runs_well_breaks_nothing() -> None:
    made = sessions()
    made.make(sap.ISO2, 100.0, tls=False)
    made.make(sap.ISO2, 101.0, tls=False)
    assert not made.broken()
