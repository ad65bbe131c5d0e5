"""The bench's ISO 15118 vehicle as a process: one session with whatever station there
is on its interface. Reads its keys from argv, prints its own view as JSON at the end.

There is no outlet: the vehicle believes the voltages it is told. After some loops it
leaves.
"""

from __future__ import annotations

import json
import sys
import time

from hil.ev import catalog
from hil.ev.base import Seen
from hil.ev.iso15118.model import Iso15118Ev

STEP_S = 0.005
LIMIT_S = 90.0
LOOP_FOR_S = 2.0


def main() -> None:
    ev = catalog.make("iso15118", soc=60.0, **json.loads(sys.argv[1]))
    if not isinstance(ev, Iso15118Ev):
        raise TypeError(f"{ev.kind} is no ISO 15118 vehicle")
    end_s = time.monotonic() + LIMIT_S
    requests: list[str] = []
    while time.monotonic() < end_s and ev.phase != "done":
        now_s = time.monotonic()
        ev.step(now_s, STEP_S, Seen(pilot_duty=0.05, ac_live=True))
        evcc = ev.evcc
        if evcc is not None and evcc.last_request not in ("", *requests[-1:]):
            requests.append(evcc.last_request)
        speaks = evcc.speaker if evcc is not None else None
        if speaks is not None and speaks.started_s is not None:
            ev.car.leaves = now_s - speaks.started_s > LOOP_FOR_S
        time.sleep(STEP_S)
    sys.stdout.write(json.dumps({**ev.state(), "said": requests}))


if __name__ == "__main__":
    main()
