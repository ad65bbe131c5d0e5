"""EcoG's SECC for the benchmark: its own simulator, but with a believable outlet.

Runs in the wheel's venv. Left alone the simulator shows 1 V and limits of 10 V, so no
vehicle that looks at the voltage would close its contactor. Must never import ours.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from iso15118.secc import SECCHandler
from iso15118.secc.controller.interface import ServiceStatus
from iso15118.secc.controller.simulator import SimEVSEController
from iso15118.secc.secc_settings import Config
from iso15118.shared.exificient_exi_codec import ExificientEXICodec


def believable(limits: Any) -> None:
    """Volts up to 450, amperes up to 60, watts up to 20 kW."""
    for name, value in vars(limits).items():
        if hasattr(value, "__dict__"):
            believable(value)
        elif "max_voltage" in name:
            setattr(limits, name, 450)
        elif name.startswith("max") and "current" in name:
            setattr(limits, name, 60)
        elif name.startswith("max") and "power" in name:
            setattr(limits, name, 20_000)


async def main(outlet_v: float) -> None:
    config = Config()
    config.load_envs()
    simulator = SimEVSEController()
    outlet = simulator.evse_data_context
    believable(outlet.rated_limits)
    believable(outlet.session_limits)
    outlet.present_voltage = round(outlet_v)
    await simulator.set_status(ServiceStatus.STARTING)
    handler = SECCHandler(
        exi_codec=ExificientEXICodec(), evse_controller=simulator, config=config
    )
    await handler.start(config.iface)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
