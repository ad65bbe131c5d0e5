"""PhysicalValue: what is told is the number, within the wire's steps."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.messages import din, iso2
from chargerd.vehicle.iso15118.secc.iso2_values import maybe, number, physical


@given(st.floats(-3.2e7, 3.2e7))
def test_a_number_survives_within_a_half_step(value: float) -> None:
    told = physical(iso2, value, "W")
    assert abs(number(told) - value) <= max(0.0005, abs(value) * 2e-4)
    assert number(told) == 0.0 or (number(told) > 0.0) is (value > 0.0)


@given(st.floats())
def test_every_float_can_be_sent(value: float) -> None:
    for schema in (iso2, din):
        told = physical(schema, value, "A")
        message = schema.PreChargeRes(
            ResponseCode="OK",
            DC_EVSEStatus=schema.DC_EVSEStatus(
                EVSEStatusCode="EVSE_Ready",
                NotificationMaxDelay=0,
                EVSENotification="None",
            ),
            EVSEPresentVoltage=told,
        )
        header = schema.MessageHeader(SessionID=bytes(8))
        body = schema.Body(BodyElement=message)
        exi.encode(schema.V2G_Message(Header=header, Body=body))


@pytest.mark.parametrize(
    ("value", "multiplier", "whole"),
    [
        (0.0, 0, 0),
        (20.0, 0, 20),
        (20.5, -1, 205),
        (0.0004, 0, 0),
        (32_767.0, 0, 32_767),
        (32_768.0, 1, 3_277),
        (-300.25, -2, -30_025),
        (1e9, 3, 32_767),
        (-math.inf, 3, -32_767),
        (math.nan, 0, 0),
    ],
)
def test_the_shortest_form(value: float, multiplier: int, whole: int) -> None:
    told = physical(iso2, value, "W")
    assert (told.Multiplier, told.Value) == (multiplier, whole)


def test_what_is_absent_stays_absent() -> None:
    assert maybe(None) is None
    assert maybe(physical(iso2, 5.0, "V")) == 5.0
