"""Our schema compiler against the schemas of both versions; errors name the place."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.schemas import Schemas, Violation, compile_schema

S21 = Schemas("ocpp2.1")
S201 = Schemas("ocpp2.0.1")


@pytest.mark.parametrize(("schemas", "count"), [(S21, 90), (S201, 64)])
def test_every_schema_compiles_and_refuses_a_list(schemas: Schemas, count: int) -> None:
    requests = [name for name in schemas._names if name.endswith("Request")]
    actions = [name.removesuffix("Request") for name in requests]
    assert len(actions) == count
    for action in actions:
        assert schemas.knows(action)
        for check in (schemas.request, schemas.response):
            wrong = check(action, [])
            assert wrong is not None
            assert wrong.code == "TypeConstraintViolation"


def test_knows() -> None:
    assert S21.knows("SetDERControl")
    assert not S201.knows("SetDERControl")
    assert not S21.knows("SetDERControlRequest")
    assert S21.knows_send("NotifyPeriodicEventStream")
    assert not S21.knows_send("HeartbeatRequest")
    assert not S201.knows_send("NotifyPeriodicEventStream")
    wrong = S21.unconfirmed("NotifyPeriodicEventStream", {})
    assert wrong is not None
    assert wrong.code == "OccurrenceConstraintViolation"


def test_unknown_names_are_an_answer_not_an_exception() -> None:
    wrong = S21.request("../../etc/passwd", {})
    assert wrong is not None
    assert wrong.code == "NotImplemented"


@pytest.mark.parametrize("version", ["ocpp1.6", "", "2.1"])
def test_unknown_version(version: str) -> None:
    with pytest.raises(OcppError, match="no schemas"):
        Schemas(version)


def profile(**period: Any) -> dict[str, Any]:
    return {
        "evseId": 1,
        "chargingProfile": {
            "id": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [
                {
                    "id": 1,
                    "chargingRateUnit": "W",
                    "chargingSchedulePeriod": [{"startPeriod": 0, **period}],
                }
            ],
        },
    }


PERIOD = "chargingProfile.chargingSchedule[0].chargingSchedulePeriod[0]"


@pytest.mark.parametrize(
    "field", ["limit", "setpoint", "setpoint_L2", "setpointReactive"]
)
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (7000, None),
        (-0.0, None),
        (float("nan"), "PropertyConstraintViolation"),
        (float("inf"), "PropertyConstraintViolation"),
        (float("-inf"), "PropertyConstraintViolation"),
        (-1e308, "PropertyConstraintViolation"),
        (10**400, "PropertyConstraintViolation"),
        (True, "TypeConstraintViolation"),
        (None, "TypeConstraintViolation"),
        ("7000", "TypeConstraintViolation"),
        ([7000], "TypeConstraintViolation"),
    ],
    ids=repr,
)
def test_numbers_of_a_period(field: str, value: Any, code: str | None) -> None:
    wrong = S21.request("SetChargingProfile", profile(**{field: value}))
    assert (wrong.code if wrong else None) == code
    if wrong:
        assert wrong.description.startswith(f"{PERIOD}.{field}: ")


def test_discharge_limit_is_negative_or_zero() -> None:
    assert S21.request("SetChargingProfile", profile(dischargeLimit=-5000)) is None
    wrong = S21.request("SetChargingProfile", profile(dischargeLimit=5000))
    assert wrong is not None
    assert wrong.code == "PropertyConstraintViolation"


def test_list_bounds_and_unknown_property() -> None:
    empty = profile()
    schedule = empty["chargingProfile"]["chargingSchedule"][0]
    schedule["chargingSchedulePeriod"] = []
    wrong = S21.request("SetChargingProfile", empty)
    assert wrong is not None
    assert wrong.code == "OccurrenceConstraintViolation"
    schedule["chargingSchedulePeriod"] = [{"startPeriod": n} for n in range(1025)]
    wrong = S21.request("SetChargingProfile", empty)
    assert wrong is not None
    assert "1025 items" in wrong.description
    hostile = profile(**{"\ud800" + "x" * 5000: 1})
    wrong = S21.request("SetChargingProfile", hostile)
    assert wrong is not None
    assert wrong.code == "FormatViolation"
    assert wrong.description.startswith(PERIOD)
    assert len(wrong.description) <= 255
    wrong.description.encode()


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("2026-11-23T08:00:00Z", True),
        ("2026-11-23T08:00:00.123456+09:00", True),
        ("2026-11-23T23:59:60Z", True),
        ("2026-11-23T08:00:00", False),
        ("2026-11-23", False),
        ("2026-13-23T08:00:00Z", False),
        ("2026-11-23T24:00:00Z", False),
        ("2026-11-23T08:00:00Z\n", False),
        ("٢٠٢٦-11-23T08:00:00Z", False),
    ],
)
def test_date_time(text: str, good: bool) -> None:
    wrong = S21.response("Heartbeat", {"currentTime": text})
    assert (wrong is None) is good


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "patternProperties": {}},
        {"type": "string", "format": "uri"},
        {"type": "null"},
        {"type": "array", "items": {"type": "string", "pattern": "x"}},
    ],
)
def test_a_keyword_we_do_not_check_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(OcppError, match="not supported"):
        compile_schema(schema)


def test_a_definition_may_contain_itself() -> None:
    tree = {
        "definitions": {
            "Node": {
                "type": "object",
                "properties": {"next": {"$ref": "#/definitions/Node"}},
                "additionalProperties": False,
            }
        },
        "$ref": "#/definitions/Node",
    }
    check = compile_schema(tree)
    check({"next": {"next": {}}})
    with pytest.raises(Violation) as caught:
        check({"next": {"next": {"x": 1}}})
    assert caught.value.where() == "next.next"
