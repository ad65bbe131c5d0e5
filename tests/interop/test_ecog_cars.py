"""EcoG's EVCC against the whole daemon: every protocol, energy and control mode.

Two namespaces and a veth pair, SDP on ff02::1; the rig is the car's pilot, contactor
and battery. Each case: start, energy flows, a dispatch changes it, the car stops.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hil.csms.dispatch import set_setpoint
from tests.interop import ecog
from tests.interop.namespaces import Far, namespaces
from tests.process import TOKEN, Plant, patient_bench, station, until

pytestmark = [pytest.mark.interop, pytest.mark.process, pytest.mark.timeout(180)]
MAX_V, MIN_V = 400.0, 300.0
LOOPS = (
    "CurrentDemandRes",
    "ChargingStatusRes",
    "DC_ChargeLoopRes",
    "AC_ChargeLoopRes",
)


@dataclass(frozen=True)
class Case:
    """`control` and `service` are ISO 15118-20's; `tls` "" , "1.2" or "1.3"."""

    name: str
    protocol: str
    energy: str
    service: str = ""
    control: str = ""
    tls: str = ""
    contract: bool = False
    install: bool = False

    @property
    def bidirectional(self) -> bool:
        return self.service.endswith("_BPT")

    def config(self) -> dict[str, Any]:
        """EcoG's own JSON."""
        mode = "DC_extended" if self.energy == "DC" else "AC_single_phase_core"
        return {
            "supportedProtocols": [self.protocol],
            "supportedEnergyServices": [self.service or self.energy],
            "energyTransferMode": mode,
            "isCertInstallNeeded": self.install,
            "useTls": bool(self.tls),
            "enforceTls": bool(self.tls),
            "sdpRetryCycles": 1,
        }


CASES = [
    Case("DIN 70121, DC", "DIN_SPEC_70121", "DC"),
    Case("-2, DC, card", "ISO_15118_2", "DC"),
    Case("-2, AC, card", "ISO_15118_2", "AC"),
    Case("-2, DC, contract", "ISO_15118_2", "DC", tls="1.2", contract=True),
    Case("-2, AC, contract", "ISO_15118_2", "AC", tls="1.2", contract=True),
    Case(
        "-2, DC, contract to install",
        "ISO_15118_2",
        "DC",
        tls="1.2",
        contract=True,
        install=True,
    ),
    *(
        Case(
            f"-20, {service}, {control}",
            f"ISO_15118_20_{service[:2]}",
            service[:2],
            service,
            control,
            "1.3",
        )
        for service in ("DC", "DC_BPT", "AC", "AC_BPT")
        for control in ("Scheduled", "Dynamic")
    ),
]


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    ecog.install()  # before the namespace, which has no way out to the package index
    ecog.pki()
    with namespaces() as other:
        yield other


@dataclass
class Scene:
    """A plugged car and its station."""

    plant: Plant
    car: ecog.Car
    case: Case

    async def truth(self) -> dict[str, Any]:
        return await self.plant.truth()

    def loops(self) -> list[ecog.Fact]:
        return [fact for name in LOOPS for fact in self.car.heard(name)]

    async def power_near(self, power_w: float, within_w: float = 500.0) -> None:
        seen: list[float] = []

        async def stays() -> bool:
            seen.append(await self.plant.power_w())
            near = [abs(w - power_w) < within_w for w in seen[-20:]]
            return len(near) == 20 and all(near)

        await until(f"{power_w} W at the terminals for 1 s", stays, 15.0)

    async def dispatch(self, power_w: float) -> None:
        """A setpoint of the central system becomes flow and stays. In scheduled mode,
        and in ISO 15118-2, the car has to want it, too."""
        self.car.command(target_a=20.0 if power_w > 0 else -20.0)
        self.car.command(ac_power_w=7_000.0 if power_w > 0 else -7_000.0)
        await set_setpoint(self.plant.peer, 1, power_w, 600)
        await self.power_near(power_w)

    async def negotiated(self) -> str:
        """The code of SupportedAppProtocolRes."""
        name = "supportedAppProtocolRes"
        await self.car.until(name, lambda: self.car.heard(name))
        return str(self.car.heard(name)[0]["body"]["ResponseCode"])

    async def phase(self, name: str, limit_s: float = 20.0) -> None:
        async def there() -> bool:
            return str((await self.plant.status())["phase"]) == name

        await until(f"phase {name}", there, limit_s)

    def machine_was_late(self) -> bool:
        """The car let 0.4 s pass in its loop, which a station must take for silence,
        or 0.5 s since its last request, though the daemon says that it answered in
        time; or the daemon did not get its turn."""
        log = self.plant.stand.log("daemon", 200)
        in_time = "late_answers=0" in log
        asked = heard = -math.inf
        looping = False
        for fact in self.car.facts:
            at = fact.get("at", -math.inf)
            if "said" in fact:
                if looping and (at - heard > 0.4 or (in_time and at - asked > 0.5)):
                    return True
                asked = at
            looping = fact.get("heard") in LOOPS
            heard = at
        return "SchedulerOverrun" in log or "PilotLost" in log

    def refusals(self) -> list[ecog.Fact]:
        """Answers whose code is not one of OK."""
        return [
            fact
            for fact in self.car.facts
            if not str(fact.get("body", {}).get("ResponseCode", "OK")).startswith("OK")
        ]


def settings(case: Case) -> dict[str, Any]:
    """The daemon's, for this case."""
    energies = '["AC_BPT", "AC"]' if case.energy == "AC" else '["DC_BPT", "DC"]'
    return ecog.daemon_settings(energies, "PnC" if case.contract else "EIM")


@asynccontextmanager
async def scene(
    far: Far, folder: Path, case: Case, **more: Any
) -> AsyncIterator[Scene]:
    """Plugged in, card shown unless the car has a contract, car started. On failure
    both sides' logs are in the error."""
    bench = patient_bench(folder)
    async with (
        station(folder, bench=bench, **settings(case)) as plant,
        AsyncExitStack() as stack,
    ):
        if case.install:
            backend = stack.enter_context(ecog.cps(folder / "cps.log"))
            plant.csms.ev_certificates = backend
        await plant.stand.rig.ask(verb="plug_in", connector=1, ev="external", soc=60.0)
        if not case.contract:
            await plant.stand.rig.ask(verb="swipe", token=TOKEN, connectors=[1])
        wishes: Mapping[str, Any] = {
            "config": case.config(),
            "service": case.service,
            "control": case.control,
            "rig": str(folder / "control.sock"),
            "battery_v": (await plant.truth())["ev"]["emf_v"],
            "max_v": MAX_V,
            "min_v": MIN_V,
            **more,
        }
        mutual = case.tls == "1.3"
        async with ecog.car(far, wishes, folder / "car.log", tls_1_3=mutual) as car:
            try:
                yield Scene(plant, car, case)
            except BaseException as error:
                error.add_note(f"-- daemon's view\n{await plant.status()}")
                error.add_note(f"-- truth\n{await plant.truth()}")
                error.add_note(car.story())
                error.add_note("-- daemon\n" + plant.stand.log("daemon", 40))
                raise


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_energy_flows_as_dispatched(case: Case, tmp_path: Path, far: Far) -> None:
    """Up to three tries, a further one only where this machine was proved too busy."""
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        try:
            async with scene(far, folder, case) as here:
                await story(here)
        except AssertionError:
            if attempt == 2 or not here.machine_was_late():
                raise
        else:
            return


async def story(here: Scene) -> None:
    await here.car.until("five loops", lambda: len(here.loops()) >= 5)
    await here.dispatch(5_000.0)
    await here.dispatch(2_500.0)
    if here.case.bidirectional:
        await discharges(here)
    await stops(here)
    if here.case.install:
        assert [fact for fact in here.car.facts if "installed" in fact]


@pytest.mark.asyncio
@pytest.mark.parametrize("service", ["DC_BPT", "AC_BPT"])
async def test_plain_iso20_is_refused(service: str, tmp_path: Path, far: Far) -> None:
    """[V2G20-1235], [V2G20-2356]: nothing of ISO 15118-20 over less than TLS 1.3
    mutual: neither over plain TCP nor over TLS 1.2."""
    for tls in ("", "1.2"):
        case = Case(
            "", f"ISO_15118_20_{service[:2]}", service[:2], service, "Dynamic", tls
        )
        folder = tmp_path / f"tls{tls}"
        folder.mkdir()
        async with scene(far, folder, case) as here:
            assert await here.negotiated() == "Failed_NoNegotiation"
            assert here.car.said() == ["supportedAppProtocolReq"]


async def discharges(here: Scene) -> None:
    """Energy comes out of the battery, and the meter and the central system agree."""
    await here.dispatch(-4_000.0)

    async def flowed() -> bool:
        return float((await here.truth())["ev"]["energy_out_wh"]) > 5.0

    await until("5 Wh out of the battery", flowed, 20.0)
    await here.dispatch(2_500.0)


async def stops(here: Scene) -> None:
    """By the car's own wish, in order; then nothing flows and nothing is closed."""
    here.car.command(stop=True)
    await here.car.until("SessionStopRes", lambda: here.car.heard("SessionStopRes"))
    await here.phase("finished")
    assert here.refusals() == []
    assert abs(await here.plant.power_w()) < 150.0
    truth = await here.truth()
    assert not any(truth["contactors"][name] for name in ("dc", "ac", "vehicle"))
    assert truth["contactor_breaks_under_load"] == truth["contactors"]["inrush"] == 0
    await agrees(here, truth)
    assert not here.plant.csms.violations


async def agrees(here: Scene, truth: dict[str, Any]) -> None:
    """Battery (DC, true), EVSE meter (AC) and the transaction tell one story."""
    energies, ev = truth["energies"], truth["ev"]
    (booked,) = here.plant.peer.ledger.transactions.values()
    assert booked.import_wh == pytest.approx(energies["ac_import_wh"], abs=3.0)
    assert booked.export_wh == pytest.approx(energies["ac_export_wh"], abs=1.0)
    assert 0.85 * energies["ac_import_wh"] - 3.0 < ev["energy_in_wh"]
    assert ev["energy_in_wh"] <= energies["ac_import_wh"]
    assert 0.85 * ev["energy_out_wh"] - 1.0 <= energies["ac_export_wh"]
    assert energies["ac_export_wh"] <= ev["energy_out_wh"]
