"""Station and heart together on one fake clock: from the CSMS's message to the stage.

What the station wants goes to the heart, what the heart reports comes back, 20 times a
second. The plant is the scheduler's stand.
"""

from __future__ import annotations

from typing import Any

from chargerd.clock import Now
from chargerd.config import Config, Site
from chargerd.model import (
    DispatchSignal,
    OperationMode,
    Priority,
    Segment,
    StartRequest,
)
from chargerd.ocpp.effects import Ask, Dispatch, Effect
from tests.unit.ocpp.station_rig import Rig, config
from tests.unit.scheduler.stand import TOKEN, Stand

DEVICE = {"driver": "x", "at": "serial:/dev/null"}
SITE = {
    "import_w": 30_000.0, "export_w": 30_000.0, "export_permit": "TEST",
    "meter": DEVICE,
}  # fmt: skip


def conf(*, evses: int = 1, site: Any = SITE, **more: Any) -> Config:
    """As the rig's, with a connection that is metered and may be fed."""
    made = config(evses=evses, **more)
    return made.model_copy(update={"site": Site.model_validate(site)})


class Whole:
    """`rig` is the CSMS's side, `stand` the hardware's."""

    def __init__(self, made: Config | None = None, **evse: Any) -> None:
        made = made or conf()
        self.rig = Rig(made)
        values = {"charge_w": 6000.0, "discharge_w": 6000.0} | evse
        self.stand = Stand(len(made.evse), site=made.site, with_site=True, **values)
        self.stand.bridge.house_w = 0.0
        self._taken = 0
        self.rig.boot()
        self._forward()

    def start(self, evse_id: int = 1) -> str:
        """A car that both charges and gives; its transaction's id."""
        self.stand.plug(evse_id)
        self.run(0.2)
        self.stand.cycle.request(StartRequest(evse_id, TOKEN))
        self.run(4.0)
        return str(self.rig.events()[-1]["transactionInfo"]["transactionId"])

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.stand.beat()
            now = self.stand.now()
            self._to(now)
            for evse_id in self.stand.vehicles:
                self.rig.station.observe(self.stand.report(evse_id), now)
            self.rig.drain()
            self._forward()

    def _to(self, now: Now) -> None:
        due = self.rig.station.next_timer()
        self.rig.now = now
        if due is not None and due <= now.mono:
            self.rig.station.on_timer(now)
            self.rig.drain()

    def _forward(self) -> None:
        effects: list[Effect] = self.rig.effects[self._taken :]
        self._taken = len(self.rig.effects)
        for effect in effects:
            if isinstance(effect, Dispatch):
                self.stand.cycle.signal(effect.signal)
            if isinstance(effect, Ask):
                self.stand.cycle.request(effect.request)

    def external(
        self,
        *,
        seconds: float = 60.0,
        evse_id: int = 1,
        source: str = "mqtt",
        priority: Priority = Priority.LOCAL,
        **values: Any,
    ) -> None:
        """A grid door's signal, as of a local energy management."""
        mono = self.stand.mono
        mode = values.pop("mode", OperationMode.EXTERNAL_SETPOINT)
        segment = Segment(mono, mode, **values)
        self.stand.cycle.signal(
            DispatchSignal(source, evse_id, priority, (segment,), mono, mono + seconds)
        )

    @property
    def power_w(self) -> float:
        return self.stand.bridge.power_w[1]

    @property
    def grid_w(self) -> float:
        return self.stand.bridge.house_w + sum(self.stand.bridge.power_w.values())
