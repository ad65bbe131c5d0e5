"""The rows of block I: tariffs and cost."""

from __future__ import annotations

from chargerd.ocpp.table.row import Row, flag_of, read

CTRLR = "TariffCostCtrlr"
# Languages whose texts can be told apart (RFC 5646); "" = for all others.
LANGUAGES = ("de", "en", "es", "fr", "it", "ja", "nl")
FAILED_TARIFF = ("Deauthorize", "UseDefaultTariff", "CentralCost")
TEXTS = ("TariffFallbackMessage", "OfflineTariffFallbackMessage",
         "TotalCostFallbackMessage")  # fmt: skip


def _text(variable: str, language: str) -> Row:
    return Row(CTRLR, variable, "string", "", language, high=512)


def _interval(instance: str, default: str, low: int) -> Row:
    return Row(
        CTRLR, "Interval", "integer", default, instance, unit="s", low=low, high=86_400
    )


ROWS: tuple[Row, ...] = (
    read(CTRLR, "Available", "boolean", "true", instance="Tariff"),
    read(CTRLR, "Available", "boolean", "true", instance="Cost"),
    flag_of(CTRLR, "Enabled", "Tariff", default=True),
    flag_of(CTRLR, "Enabled", "Cost", default=True),
    flag_of(CTRLR, "Enabled", "RunningCost", default=False),
    _interval("Tariff", "60", 0),
    _interval("Cost", "300", 1),
    read(CTRLR, "MaxElements", "integer", "100", instance="Tariff"),
    read(CTRLR, "ConditionsSupported", "boolean", "true", instance="Tariff"),
    Row(CTRLR, "HandleFailedTariff", "OptionList", "UseDefaultTariff", "Tariff",
        values=FAILED_TARIFF),
    Row(CTRLR, "Currency", "string", "EUR", low=3, high=3),
    read(CTRLR, "Problem", "boolean", "false", live=True),
    *(_text(name, language) for name in TEXTS for language in ("", *LANGUAGES)),
)  # fmt: skip
