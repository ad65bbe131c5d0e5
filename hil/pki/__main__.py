"""`python -m hil.pki make DIR`: a test PKI as files. `bad`: one chain with a flaw.

Arguments only; the layout is told in store.py.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from hil.pki import store
from hil.pki.bad import Flaw, make_bad
from hil.pki.make import make_pki
from hil.pki.profiles import EMAID, Profile, Use


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hil.pki",
        description=__doc__,
        epilog=store.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="every chain, good ones")
    make.add_argument("folder", type=Path, metavar="DIR")
    make.add_argument(
        "--profile",
        action="append",
        choices=[each.value for each in Profile],
        help="may be given again; default: iso2 and iso20",
    )
    make.add_argument("--emaid", default=EMAID, help="CN of the contract")
    make.add_argument(
        "--bad",
        action="append",
        default=[],
        metavar="USE:FLAW",
        help="also a chain with a flaw, in PROFILE/bad/USE-FLAW; uses: "
        + ", ".join(each.value for each in Use)
        + "; flaws: "
        + ", ".join(each.value for each in Flaw),
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with a word of what was asked wrongly."""
    parser = _arguments()
    told = parser.parse_args(arguments)
    now_utc = datetime.now(UTC)
    flaws: list[tuple[Use, Flaw]] = []
    for text in told.bad:
        use, _, flaw = text.partition(":")
        try:
            flaws.append((Use(use), Flaw(flaw)))
        except ValueError as error:
            parser.error(f"--bad {text}: {error}; write e.g. secc:expired")
    for name in dict.fromkeys(told.profile or ("iso2", "iso20")):
        pki = make_pki(Profile(name), now_utc, told.emaid)
        home = store.write_pki(pki, told.folder)
        for use, flaw in flaws:
            chain = make_bad(pki, use, flaw, now_utc)
            store.write_chain(chain, home / "bad" / f"{use.value}-{flaw.value}")
        print(home)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
