"""I01 to I06: what the driver is told of tariff and cost."""

from __future__ import annotations

from typing import Any

import pytest

from chargerd.model import SessionPhase
from tests.unit.ocpp.cost_kit import energy, tariff
from tests.unit.ocpp.station_rig import V21, V201, Rig, config
from tests.unit.ocpp.tariff_kit import (
    QUIET,
    charge,
    set_default,
    station,
    stop,
    welcome,
)

P = SessionPhase
BOTH = pytest.mark.parametrize("version", [V21, V201])
PRESETS = {
    **QUIET,
    "TariffCostCtrlr.TariffFallbackMessage": "ask at the desk",
    "TariffCostCtrlr.TariffFallbackMessage[de]": "bitte fragen",
    "TariffCostCtrlr.OfflineTariffFallbackMessage": "offline: 0.50",
    "TariffCostCtrlr.TotalCostFallbackMessage": "see your invoice",
    "TariffCostCtrlr.Currency": "CHF",
}


def message(text: str, language: str = "") -> dict[str, Any]:
    made = {"format": "UTF8", "content": text}
    return {**made, "language": language} if language else made


def here(version: str = V21) -> Rig:
    rig = Rig(config(device_model=PRESETS), version=version)
    rig.observe()
    return rig.boot()


def shown(rig: Rig, kind: str) -> str:
    texts = [t.content for t in rig.station.texts(rig.now) if t.kind == kind]
    assert len(texts) <= 1
    return texts[0] if texts else ""


@BOTH
@pytest.mark.req("I01.FR.03")
def test_the_drivers_own_text(version: str) -> None:
    rig = here(version)
    welcome(rig, personalMessage=message("for you: 0.30"))
    (text,) = rig.station.texts(rig.now)
    assert (text.evse_id, text.kind) == (1, "tariff")
    assert (text.content, text.format) == ("for you: 0.30", "UTF8")


def test_it_goes_with_him() -> None:
    rig = here()
    welcome(rig, personalMessage=message("for you: 0.30"))
    charge(rig)
    assert shown(rig, "tariff") == "for you: 0.30"
    stop(rig)
    assert shown(rig, "tariff") == "ask at the desk"


@BOTH
@pytest.mark.req("I02.FR.04")
def test_the_running_cost_of_an_answer(version: str) -> None:
    rig = here(version)
    charge(rig)
    rig.answer(rig.last("TransactionEvent"), {"totalCost": 1.239})
    assert shown(rig, "cost") == "1.24 CHF"


@BOTH
@pytest.mark.req("I03.FR.01", "I03.FR.03")
def test_the_total_at_the_end(version: str) -> None:
    rig = here(version)
    charge(rig)
    rig.observe(P.FINISHED)
    rig.answer(rig.last("TransactionEvent"), {"totalCost": 7.5})
    assert rig.events()[-1]["eventType"] == "Ended"
    assert shown(rig, "total") == "7.50 CHF"
    assert shown(rig, "cost") == ""
    rig.observe(P.IDLE)
    assert shown(rig, "total") == ""  # he has gone


def test_a_total_that_comes_too_late_is_not_the_next_drivers() -> None:
    rig = here()
    charge(rig)
    stop(rig)
    ended = rig.last("TransactionEvent")
    rig.observe(P.CONNECTED, session_id="s2")
    rig.answer(ended, {"totalCost": 7.5, "updatedPersonalMessage": message("old")})
    assert shown(rig, "total") == ""
    assert shown(rig, "tariff") == "ask at the desk"


def test_a_total_of_our_own_is_shown_with_tax() -> None:
    rig = here()
    told = tariff(energy=energy(1.0, taxRates=[{"type": "vat", "tax": 10}]))
    set_default(rig, told)
    charge(rig)
    rig.run_s(2, import_wh=3000.0)
    assert shown(rig, "cost") == "2.20 EUR"
    rig.observe(P.FINISHED, import_wh=3000.0)
    rig.answer(rig.last("TransactionEvent"), {"totalCost": 99.0})
    assert shown(rig, "total") == "2.20 EUR"


@pytest.mark.req("I04.FR.01")
@pytest.mark.parametrize(
    ("online", "language", "text"),
    [
        (True, "", "ask at the desk"),
        pytest.param(
            True, "de-CH", "bitte fragen", marks=pytest.mark.req("C01.FR.08")
        ),
        (True, "pt", "ask at the desk"),
        (False, "", "offline: 0.50"),
    ],
)  # fmt: skip
def test_without_a_tariff_a_configured_text(
    online: bool,
    language: str,
    text: str,
) -> None:
    rig = here()
    welcome(rig, **({"language1": language} if language else {}))
    rig.link(up=online)
    assert shown(rig, "tariff") == text


def test_offline_without_a_text_of_its_own() -> None:
    rig = Rig(config(device_model={"TariffCostCtrlr.TariffFallbackMessage": "ask"}))
    rig.observe()
    assert shown(rig, "tariff") == "ask"


@BOTH
@pytest.mark.req("I05.FR.02")
def test_offline_nobody_knows_the_total(version: str) -> None:
    rig = here(version)
    charge(rig)
    rig.link(up=False)
    rig.observe(P.FINISHED)
    assert shown(rig, "total") == "see your invoice"
    rig.link()
    rig.answer(rig.last("TransactionEvent"), {"totalCost": 7.5})
    assert shown(rig, "total") == "see your invoice"


@pytest.mark.req("I06.FR.03")
def test_the_csms_may_change_the_text() -> None:
    rig = here()
    welcome(rig, language1="de", personalMessage=message("0.30"))
    charge(rig)
    rig.answer(
        rig.last("TransactionEvent"),
        {
            "updatedPersonalMessage": message("now 0.40", "en"),
            "updatedPersonalMessageExtra": [message("jetzt 0.40", "de-DE")],
        },
    )
    assert shown(rig, "tariff") == "jetzt 0.40"


@pytest.mark.req("C01.FR.12", "C01.FR.13")
def test_english_for_who_speaks_no_language_of_ours() -> None:
    english = {"TariffCostCtrlr.TariffFallbackMessage[en]": "please ask"}
    rig = Rig(config(device_model={**PRESETS, **english}))
    rig.observe()
    welcome(rig.boot(), language1="pt", language2="sv")
    assert shown(rig, "tariff") == "please ask"
    told = [message("eine kWh", "de"), message("a kWh", "en")]
    set_default(rig, tariff(description=told))
    assert shown(rig, "tariff") == "a kWh"


@pytest.mark.req("I07.FR.14", "C01.FR.09")
def test_the_description_of_the_tariff_that_counts() -> None:
    rig = station()
    told = tariff(description=[message("a kWh", "en"), message("eine kWh", "de")])
    set_default(rig, told)
    assert shown(rig, "tariff") == "a kWh"  # nobody is there yet
    welcome(rig, language1="fr", language2="de")
    assert shown(rig, "tariff") == "eine kWh"
    welcome(rig, tariff("mine", description=[message("only for you")]))
    assert shown(rig, "tariff") == "only for you"
    charge(rig)
    view = rig.station._desk.evses[1]
    other = tariff("T3", description=[message("another")])
    request = {"transactionId": view.transaction_id, "tariff": other}
    rig.call("ChangeTransactionTariff", request)
    assert shown(rig, "tariff") == "another"
