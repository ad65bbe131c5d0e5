"""`python -m hil.demo`, what `make demo` and `chargerd demo` run.

Three processes: the rig, the daemon, and this one with the central system and the
script. Exit 0 only if every check of the report passed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

from hil.csms.server import Csms
from hil.csms.wire import CallFailed, CsmsError
from hil.demo.cars import CARS
from hil.demo.judge import judge
from hil.demo.live import Screen
from hil.demo.record import CURRENCY
from hil.demo.report import Story, render
from hil.demo.story import BATTERY_WH, Evening
from hil.stand import CONFIG, Stand, StandError

OUT = Path("out/demo")
PASSWORD = "bench-password-0001"
# Meter values so often that a short loss of the link falls between two; running cost.
MODEL = "CHARGERD__OCPP__DEVICE_MODEL__"
TOLD = {
    MODEL + "SampledDataCtrlr.TxUpdatedInterval": "2",
    MODEL + "TariffCostCtrlr.Currency": CURRENCY,
    MODEL + "TariffCostCtrlr.Enabled[RunningCost]": "true",
    MODEL + "TariffCostCtrlr.Interval[Cost]": "4",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="chargerd demo", description=__doc__)
    top.add_argument("--headless", action="store_true", help="no live table")
    top.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="length of the evening, 45 to 3600 (default 60)",
    )
    top.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    top.add_argument("--ev", choices=list(CARS), default="iso15118")
    return top


async def play(args: argparse.Namespace, folder: Path) -> Story:
    """Start everything, run the evening, stop everything, judge."""
    stand, car = Stand(folder), CARS[args.ev]
    if car.tls:
        stand.make_pki()
    csms = await Csms.start("127.0.0.1", stand.csms_port, password=PASSWORD)
    screen = Screen(headless=args.headless)
    try:
        screen.say("starting the virtual bench and the daemon ...")
        await stand.start_rig()
        await stand.start_daemon(config=str(car.config), **TOLD)
        peer = await csms.wait_station(15, booted=True)
        screen.say("the station is connected and accepted")
        evening = Evening(stand, peer, car, seconds=args.seconds, say=screen.say)
        async with screen.follow(evening.latest):
            record = await evening.run()
    finally:
        await stand.stop()
        await csms.stop()
    trace = (folder / "trace.jsonl").read_text().splitlines()
    record.rig = [json.loads(line) for line in trace]
    subtitle = (
        f"{car.title}, on the virtual bench, {args.seconds:.0f} s. The battery is "
        f"scaled to {BATTERY_WH:g} Wh so that a minute shows an evening; powers, "
        "protocols and times of reaction are real."
    )
    return judge(record, subtitle)


def main() -> int:
    """Returns the exit status."""
    args = parser().parse_args()
    if not 45 <= args.seconds <= 3600:
        sys.stderr.write("--seconds: 45 to 3600; the protocol's own times need 45\n")
        return 2
    if not CONFIG.exists():
        sys.stderr.write(f"{CONFIG} is missing: run the demo in a clone (make demo)\n")
        return 2
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.stderr.write(f"--out {args.out}: {error.strerror}; give another folder\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="chargerd-demo-") as name:
        folder = Path(name)
        try:
            story = asyncio.run(play(args, folder))
        except (StandError, CsmsError, CallFailed, TimeoutError, OSError) as error:
            sys.stderr.write(f"the demo could not run: {error}\nlogs: {args.out}\n")
            return 1
        finally:
            for log in (*folder.glob("*.log"), *folder.glob("*.jsonl")):
                shutil.copy(log, args.out)
    report = args.out / "report.html"
    report.write_text(render(story))
    width = max(len(check.name) for check in story.checks)
    for check in story.checks:
        mark = "ok    " if check.ok else "MISSED"
        print(f"{mark} {check.name:<{width}}  {check.measured}  (limit {check.limit})")
    for row in story.latencies:
        wire = "-" if row.wire_ms is None else f"{row.wire_ms:.1f} ms"
        power = "-" if row.power_ms is None else f"{row.power_ms:.0f} ms"
        print(f"       {row.what}: on the wire after {wire}, power after {power}")
    print(f"report: {report}")
    return 0 if story.ok else 1


if __name__ == "__main__":
    sys.exit(main())
