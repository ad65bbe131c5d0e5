"""The rows of block K: smart charging."""

from __future__ import annotations

from chargerd.ocpp.table.row import MAX_PERIODS, MAX_PROFILES, PURPOSES, Row, flag, read

ROWS: tuple[Row, ...] = (
    read("SmartChargingCtrlr", "Available", "boolean", "true"),
    flag("SmartChargingCtrlr", "Enabled", default=True),
    read("SmartChargingCtrlr", "Entries", "integer", "0", instance="ChargingProfiles",
          high=MAX_PROFILES, live=True),
    read("SmartChargingCtrlr", "PeriodsPerSchedule", "integer", str(MAX_PERIODS)),
    Row("SmartChargingCtrlr", "ProfileStackLevel", "integer", "9", low=0, high=100),
    Row("SmartChargingCtrlr", "LimitChangeSignificance", "decimal", "5",
        unit="Percent", low=0, high=100),
    flag("SmartChargingCtrlr", "NotifyChargingLimitWithSchedules", default=True),
    read("SmartChargingCtrlr", "ExternalControlSignalsEnabled", "boolean", "true"),
    # A grid's limit is never ignored: this cannot be switched on.
    read("SmartChargingCtrlr", "ExternalConstraintsProfileDisallowed", "boolean",
          "false"),
    read("SmartChargingCtrlr", "RateUnit", "MemberList", "W,A", values=("A", "W")),
    Row("SmartChargingCtrlr", "IgnoredProfilePurposesOffline", "MemberList", "",
        values=PURPOSES),
    read("SmartChargingCtrlr", "SupportedAdditionalPurposes", "MemberList",
          "PriorityCharging,LocalGeneration",
          values=("PriorityCharging", "LocalGeneration")),
    read("SmartChargingCtrlr", "SupportsDynamicProfiles", "boolean", "true"),
    read("SmartChargingCtrlr", "SupportsMaxOfflineDuration", "boolean", "true"),
    read("SmartChargingCtrlr", "SupportsLimitAtSoC", "boolean", "true"),
    read("SmartChargingCtrlr", "SupportsUseLocalTime", "boolean", "true"),
    read("SmartChargingCtrlr", "SupportsRandomizedDelay", "boolean", "true"),
    read("SmartChargingCtrlr", "SupportsEvseSleep", "boolean", "false"),
    read("SmartChargingCtrlr", "ChargingProfilePersistence", "boolean", "true",
          instance="TxProfile"),
    read("SmartChargingCtrlr", "ChargingProfilePersistence", "boolean", "false",
          instance="ChargingStationExternalConstraints"),
    read("SmartChargingCtrlr", "Phases3to1", "boolean", "false"),
    read("SmartChargingCtrlr", "ACPhaseSwitchingSupported", "boolean", "false",
          scope="evse"),
    read("SmartChargingCtrlr", "ChargingProfilePersistence", "boolean", "false",
          instance="LocalGeneration"),
    Row("SmartChargingCtrlr", "MaxExternalConstraintsId", "integer", "0", low=0,
        high=2_000_000_000),
)  # fmt: skip
