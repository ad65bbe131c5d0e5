"""However the CSMS sets network profiles: each is tried, the one that worked too."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.ocpp.connection import refused_url
from tests.unit.ocpp.station_rig import Rig, config
from tests.unit.ocpp.test_network import FIRST, fail, prioritise, set_profile

ATTEMPTS = 2
PRESET = {"OCPPCommCtrlr.NetworkProfileConnectionAttempts": ATTEMPTS}

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fail"), st.integers(1, 5)),
        st.tuples(st.just("link"), st.none()),
        st.tuples(st.just("lost"), st.none()),
        st.tuples(st.just("restart"), st.none()),
        st.tuples(
            st.just("set"),
            st.tuples(
                st.integers(0, 4), st.sampled_from(["a", "b"]), st.integers(1, 3)
            ),
        ),
        st.tuples(
            st.just("order"),
            st.lists(st.sampled_from("1234"), max_size=4).map(",".join),
        ),
    ),
    max_size=12,
)


def step(rig: Rig, name: str, value: Any) -> Rig:
    match name:
        case "fail" if not rig.station._desk.online:
            fail(rig, value)
        case "link":
            rig.boot()
        case "lost":
            rig.link(up=False)
        case "restart":
            return rig.restarted()
        case "set" if rig.station._desk.online:
            slot, host, profile = value
            set_profile(rig, slot, url=f"wss://{host}", profile=profile)
        case "order" if rig.station._desk.online:
            prioritise(rig, value)
    return rig


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_no_setting_strands_the_station(steps: list[tuple[str, Any]]) -> None:
    made = config(**{**FIRST, "url": "wss://one", "device_model": PRESET})
    rig = Rig(made).boot()
    worked = rig.station.connection()
    for name, value in steps:
        rig = step(rig, name, value)
        if rig.station._desk.online:
            worked = rig.station.connection()
        connection = rig.station.connection()
        assert refused_url(connection.url, connection.security_profile) == ""
    rig.link(up=False)
    tried = set()
    for _ in range(ATTEMPTS * 8):  # twice around three slots and the last one
        connection = rig.station.connection()
        tried.add((connection.url, connection.security_profile))
        fail(rig, 1)
    assert (worked.url, worked.security_profile) in tried
    model = rig.station._desk.model
    for slot in model.members("OCPPCommCtrlr", "NetworkConfigurationPriority"):
        name = f"NetworkConfiguration[{slot}]"
        url = model.text(name, "OcppCsmsUrl")
        if url:
            assert (url, model.number(name, "SecurityProfile")) in tried
