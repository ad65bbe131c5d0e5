"""An energy manager made of PyPI `pysunspec2`; runs in pysunspec2's venv.

Verbs by lines (see partner.py): scan, layout, read, write. Owns no judgement.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import sunspec2.modbus.client as client  # type: ignore[import-not-found]


class Ems:
    def __init__(self, host: str, port: str) -> None:
        self._device = client.SunSpecModbusClientDeviceTCP(
            slave_id=1, ipaddr=host, ipport=int(port), timeout=10
        )

    def scan(self) -> Any:
        self._device.scan()
        models = [(number, m.model_len) for number, (m, *_) in self._models()]
        return {"base": self._device.base_addr, "models": models}

    def _models(self) -> Any:
        return [(n, m) for n, m in self._device.models.items() if isinstance(n, int)]

    def layout(self) -> Any:
        """Address and length of each point, as the model files have it."""
        found = {}
        for number, (model, *_) in self._models():
            groups = [("", model)]
            for name, group in model.groups.items():
                several = group if isinstance(group, list) else [group]
                groups += [(f"{name}_", one) for one in several]
            for prefix, group in groups:
                for name, point in group.points.items():
                    at = model.model_addr + point.offset
                    found[f"{number}.{prefix}{name}"] = [at, point.len]
        return found

    def read(self, number: int, *names: str) -> Any:
        model = self._device.models[number][0]
        model.read()
        return {name: model.points[name].cvalue for name in names}

    def write(self, number: int, values: dict[str, Any]) -> Any:
        """All in one go; the words of the exception, "" = accepted."""
        model = self._device.models[number][0]
        for name, value in values.items():
            model.points[name].cvalue = value
        try:
            model.write()
        except Exception as error:  # noqa: BLE001 - a partner's own kinds
            return str(error)
        return ""


def main() -> None:
    ems = Ems(*sys.argv[1:])
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        print(json.dumps(getattr(ems, verb)(*arguments)), flush=True)  # noqa: T201


main()
