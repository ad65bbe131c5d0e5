"""A HEMS made of PyPI `pychonet`, as Home Assistant uses it; runs in pychonet's venv.

Verbs by lines (see partner.py): search, discover, get, set, pushed. Owns no judgement.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from pychonet import ECHONETAPIClient, Factory  # type: ignore[import-not-found]
from pychonet.lib.udpserver import UDPServer  # type: ignore[import-not-found]

GROUP, CLASS, INSTANCE = 0x02, 0x7E, 0x01


class Hems:
    def __init__(self, host: str) -> None:
        self._host = host
        self._pushed = 0
        server = UDPServer(local_ip="127.0.0.1")
        loop = asyncio.get_running_loop()
        server.run("0.0.0.0", 3610, loop)  # noqa: S104 - else no multicast
        self._api = ECHONETAPIClient(server=server)
        self._api.configure(message_timeout=100, logger=lambda *_: None)
        self._device: Any = None

    async def search(self) -> Any:
        """By multicast: who answers."""
        found: list[str] = []

        async def heard(host: str) -> None:
            found.append(host)

        self._api.configure(message_timeout=20, discover_callback=heard)
        await self._api.discover()
        self._api.configure(message_timeout=100)
        return sorted(set(found))

    async def discover(self) -> Any:
        await self._api.discover(self._host)
        await self._api.getAllPropertyMaps(self._host, GROUP, CLASS, INSTANCE)
        self._device = Factory(self._host, self._api, GROUP, CLASS, INSTANCE)
        self._api.register_async_update_callbacks(
            self._host, GROUP, CLASS, INSTANCE, self._update
        )
        node = self._api.state[self._host]
        return {
            "instances": sorted(node["instances"][GROUP][CLASS]),
            "manufacturer": node["manufacturer"],
            "uid": node["uid"],
            "get": sorted(self._device.getGetProperties()),
            "set": sorted(self._device.getSetProperties()),
        }

    async def _update(self, pushed: bool) -> None:
        self._pushed += pushed

    async def get(self, *epcs: int) -> Any:
        found = await self._device.update(list(epcs))
        return found if isinstance(found, dict) else {epcs[0]: found}

    async def set(self, *properties: list[int]) -> Any:
        return await self._device.setMessages(
            [{"EPC": epc, "EDT": edt, "PDC": pdc} for epc, edt, pdc in properties]
        )

    async def pushed(self, epc: int) -> Any:
        """What is known without asking, and how often we were told."""
        value = await self._device.update(epc, no_request=True)
        return {"value": value, "times": self._pushed}


async def main() -> None:
    hems = Hems(sys.argv[1])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        verb, *arguments = json.loads(line)
        print(json.dumps(await getattr(hems, verb)(*arguments)), flush=True)  # noqa: T201


asyncio.run(main())
