"""Where the files of `[ocpp] certificates_dir` are.

Owns the names only; opens nothing. People may put `ca.pem`, `station.pem` and
`station.key` there; everything else is written by OCPP's certificate messages.
"""

from __future__ import annotations

from pathlib import Path

CA = "ca.pem"  # root of the CSMS
ROOTS, ROOTS_BEFORE = "csms", "csms-before"  # folders of more of them
STATION, STATION_KEY = "station.pem", "station.key"  # shown with security profile 3
STATION_NEW = "station-new.pem"  # chain and key in one, until it has worked
PENDING = "pending"  # keys whose certificate is asked for
SECC = "secc"  # shown to vehicles: chain and key in one
STAPLES = "ocsp"  # responses about them, by serial number


def csms_roots(folder: Path, *, before: bool) -> list[Path]:
    """Files that may hold a root of the CSMS; `before`: those that were replaced."""
    if before:
        return sorted((folder / ROOTS_BEFORE).glob("*.pem"))
    own = folder / CA
    return [*([own] if own.is_file() else []), *sorted((folder / ROOTS).glob("*.pem"))]


def station_pair(folder: Path, *, spare: bool) -> tuple[Path, Path | None]:
    """Chain and key of the station's certificate; key None: it is in the chain's file.

    The renewed one as soon as there is one; `spare`: the one before it.
    """
    new, own, key = folder / STATION_NEW, folder / STATION, folder / STATION_KEY
    if new.is_file() and not spare:
        return new, None
    return own, key if key.is_file() else None
