"""Do the meter's signatures of a record hold, and do its energies agree with its own?

Pure. For who reads records: the daemon only keeps texts, and never loads this file nor
the 7 MiB of `cryptography` with it.
"""

from __future__ import annotations

from chargerd.records import ocmf
from chargerd.records.chain import Record
from chargerd.records.errors import RecordsError
from chargerd.records.signatures import Signature

TOLERANCE_WH = 20.0  # the text ends when the contactor does, not at plug-out
TOLERANCE_SHARE = 0.005


def check(record: Record, keys: tuple[str, ...] = ()) -> tuple[int, str]:
    """The signatures of a record: how many hold, and what is wrong, "" = nothing.

    `keys`: public keys known from elsewhere; without them each text is checked with the
    key that the meter told, which shows a changed text, not a changed meter.
    """
    found = record.get("meter_signatures") or []
    try:
        moved = [_checked(signature, keys) for signature in found]
    except (RecordsError, KeyError, TypeError, AttributeError) as error:
        return 0, f"no signature can be read: {error}"
    wrong = [text for text, _ in moved if text]
    if wrong or not moved or record.get("kind") != "session":
        return len(found) - len(wrong), "; ".join(wrong)
    for name in ("import_wh", "export_wh"):
        values = [getattr(energy, name) for _, energy in moved]
        if None in values:
            continue
        off_wh = abs(sum(values) - record[name])
        if off_wh > TOLERANCE_WH + TOLERANCE_SHARE * abs(record[name]):
            why = f"{name}: the meter signed {sum(values):.0f}, not {record[name]:.0f}"
            return len(found), why
    return len(found), ""


def _checked(signature: Signature, keys: tuple[str, ...]) -> tuple[str, ocmf.Energy]:
    document = ocmf.parse(signature["text"])
    energy = ocmf.energy(document)
    tried = [ocmf.verify(document, key) for key in keys or (signature["public_key"],)]
    if "" not in tried:
        return tried[0], energy
    return ("" if energy.good else "the meter marks a reading as not usable"), energy
