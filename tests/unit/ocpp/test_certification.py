"""FrequencySimulator and DataCollector (2.1 part 2, 2.18.7 and 2.18.8)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chargerd.config import StoreConfig
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs import samples
from chargerd.ocpp.jobs.samples import AppendSamples, appender, files
from tests.unit.ocpp.profile_kit import install, local, profile
from tests.unit.ocpp.station_rig import Rig, config
from tests.unit.ocpp.variable_kit import get_one, item, set_one
from tests.unit.ocpp.whole import Whole, conf

EVSE = {"id": 1}
START, END = "2026-11-23T08:00:10Z", "2026-11-23T08:01:00Z"
SCHEDULE = [{"time": 0, "freq": 50.0}, {"time": 10, "freq": 49.5},
            {"time": 20, "freq": 50.5}]  # fmt: skip


def put(rig: Rig, component: str, name: str, value: Any, instance: str = "") -> str:
    more = {"instance": instance} if instance else {}
    made = item(component, name, str(value), evse=EVSE, **more)
    return str(set_one(rig, made)["attributeStatus"])


def window(rig: Rig, component: str) -> None:
    put(rig, component, "DateTime", START, "Start")
    put(rig, component, "DateTime", END, "End")
    assert put(rig, component, "Enabled", "true") == "Accepted"


def test_they_exist_only_when_configured() -> None:
    rig = Rig(config()).boot()
    assert put(rig, "FrequencySimulator", "Enabled", "true") == "UnknownComponent"
    rig = Rig(config(test_components=True)).boot()
    asked = item("DataCollector", "Enabled", evse=EVSE)
    assert get_one(rig, asked)["attributeValue"] == "false"


@pytest.mark.parametrize(
    ("component", "name", "value", "instance"),
    [
        ("FrequencySimulator", "DateTime", "soon", "Start"),
        ("DataCollector", "DateTime", "", "End"),
        ("FrequencySimulator", "FrequencySchedule", "[]", ""),
        ("FrequencySimulator", "FrequencySchedule", "{", ""),
        ("FrequencySimulator", "FrequencySchedule", '[{"time": 0}]', ""),
        ("FrequencySimulator", "FrequencySchedule", "[[[[" * 500, ""),
        ("FrequencySimulator", "FrequencySchedule",
         '[{"time": 0, "freq": 500}]', ""),
        ("FrequencySimulator", "FrequencySchedule",
         '[{"time": 0, "freq": NaN}]', ""),
        ("FrequencySimulator", "FrequencySchedule",
         '[{"time": 5, "freq": 50}, {"time": 5, "freq": 51}]', ""),
        ("DataCollector", "SamplingInterval", "0.01", ""),
        ("DataCollector", "SampledMeasurands", "Nothing", ""),
    ],
)  # fmt: skip
def test_what_is_no_test_is_refused(
    component: str, name: str, value: str, instance: str
) -> None:
    rig = Rig(config(test_components=True)).boot()
    assert put(rig, component, name, value, instance) == "Rejected"


def test_power_follows_the_simulated_frequency_while_the_test_runs() -> None:
    whole = Whole(conf(test_components=True))
    whole.start()
    curve = [[49.0, -6000.0], [51.0, 6000.0]]
    install(whole.rig, profile(periods=local(*curve, v2xBaseline=0.0)))
    text = json.dumps(SCHEDULE)
    rig = whole.rig
    assert put(rig, "FrequencySimulator", "FrequencySchedule", text) == "Accepted"
    window(rig, "FrequencySimulator")
    whole.stand.bridge.hertz = 50.25  # what the meter sees
    seen = {}
    for _ in range(70):
        whole.run(1.0)
        seen[round(whole.stand.mono - 1000.0)] = whole.power_w
    assert seen[9] == pytest.approx(1500.0, abs=100.0)
    assert seen[19] == pytest.approx(0.0, abs=100.0)
    assert seen[28] == pytest.approx(-3000.0, abs=100.0)
    assert seen[50] == pytest.approx(3000.0, abs=100.0)
    assert seen[65] == pytest.approx(1500.0, abs=100.0)  # End: the meter's again


def test_a_simulated_frequency_dies_with_the_station() -> None:
    whole = Whole(conf(test_components=True))
    whole.start()
    rig = whole.rig
    put(rig, "FrequencySimulator", "FrequencySchedule", json.dumps(SCHEDULE[:1]))
    put(rig, "FrequencySimulator", "DateTime", "2026-11-23T08:00:00Z", "Start")
    put(rig, "FrequencySimulator", "DateTime", END, "End")
    put(rig, "FrequencySimulator", "Enabled", "true")
    whole.run(1.0)
    whole.stand.bridge.hertz = 49.0
    whole.run(1.0)
    assert whole.stand.report().snapshot.site.frequency_hz == 50.0
    whole.stand.run(6.0)  # the heart alone
    assert whole.stand.report().snapshot.site.frequency_hz == pytest.approx(49.0, 0.01)


def test_samples_are_taken_at_their_interval_inside_the_window() -> None:
    rig = Rig(config(test_components=True)).boot()
    put(rig, "DataCollector", "SamplingInterval", "0.1")
    put(rig, "DataCollector", "SampledMeasurands", "Frequency,Power.Active.Import")
    window(rig, "DataCollector")
    rig.observe()
    rows: list[str] = []
    for _ in range(1500):
        rig.run_s(0.05, step_s=0.05)
        for task in rig.works.values():
            rows += task.rows
        if rig.works:
            rig.worked(AppendSamples, 1)
            rig.over(next(iter(rig.works)))
    times = sorted({row.split(",")[0] for row in rows})
    assert times[0].startswith("2026-11-23T08:00:10.0")
    assert times[-1].startswith("2026-11-23T08:00:59.9")
    assert len(times) == pytest.approx(500, abs=3)
    assert {row.split(",")[2] for row in rows} == {"Power.Active.Import"}


def run(made: Any, *tasks: AppendSamples) -> list[int]:
    async def all_of_them() -> list[int]:
        return [n for task in tasks async for n in made(task)]

    return asyncio.run(all_of_them())


def test_the_file_is_a_ring_of_two_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "HALF_BYTES", 200)
    made = config().model_copy(
        update={"store": StoreConfig(path=tmp_path / "state.db")}
    )
    older, newer = files(made)
    task = AppendSamples(tuple(f"row {n}" for n in range(10)))
    assert run(appender(made), *[task] * 7) == [10] * 7
    text = newer.read_text()
    assert text.startswith(samples.HEADER + "\nrow 0\n")
    assert older.read_text().startswith(samples.HEADER)
    assert newer.stat().st_size < 400
    newer.unlink()
    newer.mkdir()
    with pytest.raises(OcppError, match=r"data-collector\.csv"):
        run(appender(made), task)
