"""Open Charge Metering Format: a meter's signed text, read and checked.

Pure. Format, keys and tables: SAFE-eV/OCMF-Open-Charge-Metering-Format, OCMF-en.md
revision 1.2. A text is never changed: what was signed are its very characters.
Positive = import, at the meter's terminals.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from chargerd.records.errors import RecordsError

MAX_CHARACTERS = 16_384  # a meter's file holds 4 kB, with two readings
MAX_READINGS = 200
DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"

# Table 22. Devices write brainpool's names with a P, too. secp192k1 is left out: the
# library does not know it.
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1,
    "secp256r1": ec.SECP256R1,
    "secp256k1": ec.SECP256K1,
    "secp384r1": ec.SECP384R1,
    "brainpool256r1": ec.BrainpoolP256R1,
    "brainpoolp256r1": ec.BrainpoolP256R1,
    "brainpool384r1": ec.BrainpoolP384R1,
    "brainpoolp384r1": ec.BrainpoolP384R1,
}
_ALGORITHM = re.compile(r"ECDSA-(\w+)-SHA256", re.IGNORECASE)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)[,.](\d{3})([+-]\d\d:?\d\d|Z) ([UISR])"
)
# IEC 62056-6-1: A-B:C.D.E*F. C 1 = import, 2 = export; D 8 = the register's value.
# B0 to B3, C0 to C3: of DC meters, with or without the cable's losses [K].
_OBIS = re.compile(r"\w+-\w+:(\w+)\.0?8\.\w+(?:[.*]\w+)?")
_IMPORT = ("1", "01", "B0", "B1", "B2", "B3")
_EXPORT = ("2", "02", "C0", "C1", "C2", "C3")
_WH = {"Wh": Decimal(1), "kWh": Decimal(1000)}
_ENDS = "ELRAP"  # reasons of the last reading, table 7
_INHERITED = ("TX", "RI", "RU", "RT", "ST", "EF", "TM")


@dataclass(frozen=True, slots=True)
class Value:
    """One reading. `energy_wh` None: an event without a value. `reason` is TX: "B" the
    first of a transaction, "E" the last; "" outside of one."""

    at: datetime
    clock: str  # "S" synchronised, "I" informative, "R" relative, "U" unknown
    reason: str
    obis: str
    energy_wh: Decimal | None
    exported: bool | None  # None: no energy register
    status: str = "G"  # "G" good, else table 10
    errors: str = ""  # "E" energy not usable, "t" time not usable


@dataclass(frozen=True, slots=True)
class Document:
    """A text that could be read; whether its signature holds, `verify` says."""

    text: str
    payload: str  # the characters that were signed
    fields: Mapping[str, Any]
    values: tuple[Value, ...]
    algorithm: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Energy:
    """Of a transaction: last reading less the first; None = not in the text."""

    import_wh: float | None
    export_wh: float | None
    good: bool  # no reading of it, nor one between, was marked as not usable


def parse(text: str) -> Document:
    """Raises RecordsError: too long, not OCMF, or fields missing."""
    if len(text) > MAX_CHARACTERS:
        raise RecordsError(f"OCMF: {len(text)} characters, {MAX_CHARACTERS} allowed")
    parts = text.strip().split("|")
    if len(parts) != 3 or parts[0] != "OCMF":
        raise RecordsError("OCMF: not of the form OCMF|{...}|{...}")
    fields, signed = _table(parts[1], "payload"), _table(parts[2], "signature")
    rows = fields.get("RD")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_READINGS:
        raise RecordsError(f"OCMF: RD: a list of 1 to {MAX_READINGS} readings needed")
    if signed.get("SM", "application/x-der") != "application/x-der":
        raise RecordsError(f"OCMF: SM: {signed['SM']!r:.40} is not known")
    return Document(
        text=text.strip(),
        payload=parts[1],
        fields=fields,
        values=_values(rows),
        algorithm=str(signed.get("SA", DEFAULT_ALGORITHM)),
        signature=_signature(signed),
    )


def verify(document: Document, public_key: str) -> str:
    """ "" when the signature is that of `public_key`, else what is wrong.

    The key in hex or base64: SubjectPublicKeyInfo (DER), or the bare point 04||X||Y of
    the curve that the text names. It must come from elsewhere than the text.
    """
    named = _ALGORITHM.fullmatch(document.algorithm)
    curve = _CURVES.get(named[1].lower()) if named else None
    if curve is None:
        return f"algorithm {document.algorithm!r:.40} is not known"
    try:
        key = _key(public_key, curve())
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"public key: {error}"
    if not isinstance(key.curve, curve):
        return f"the key is of {key.curve.name}, the text says {document.algorithm}"
    try:
        key.verify(
            _der(document.signature, key.key_size),
            document.payload.encode(),
            ec.ECDSA(hashes.SHA256()),
        )
    except InvalidSignature:
        return "the signature does not fit: text or key is another one"
    return ""


def energy(document: Document) -> Energy:
    """What the transaction moved. RecordsError: begin or end is not in the text."""
    values = [value for value in document.values if value.energy_wh is not None]
    first = [value for value in values if value.reason == "B"]
    last = [value for value in values if value.reason[:1] in _ENDS and value.reason]
    if not first or not last:
        raise RecordsError("OCMF: no reading of begin and end: RD needs TX B and E")
    return Energy(
        import_wh=_difference(first, last, exported=False),
        export_wh=_difference(first, last, exported=True),
        good=all(v.status == "G" and "E" not in v.errors for v in document.values),
    )


def _table(text: str, what: str) -> dict[str, Any]:
    """JSON with its decimals as they are written."""
    try:
        found = json.loads(
            text, parse_float=Decimal, parse_int=_integer, parse_constant=_no_constant
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise RecordsError(f"OCMF: {what}: no JSON: {error!s:.80}") from error
    if not isinstance(found, dict):
        raise RecordsError(f"OCMF: {what}: not a JSON object")
    return found


def _integer(digits: str) -> Decimal:
    return Decimal(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _values(rows: list[Any]) -> tuple[Value, ...]:
    """Fields that are left out are those of the reading before."""
    known: dict[str, Any] = {}
    found = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RecordsError(f"OCMF: RD[{number}]: not a JSON object")
        known |= {name: row[name] for name in _INHERITED if name in row}
        try:
            found.append(_value(known, row.get("RV")))
        except RecordsError as error:
            raise RecordsError(f"OCMF: RD[{number}]: {error}") from error
    return tuple(found)


def _value(row: Mapping[str, Any], counted: Any) -> Value:
    texts = {name: row.get(name, "") for name in _INHERITED}
    if not all(isinstance(value, str) for value in texts.values()):
        raise RecordsError("a field that has to be text is none")
    time = _TIME.fullmatch(texts["TM"])
    if time is None:
        raise RecordsError(f"TM: {texts['TM']!r:.40} is not as in 2018-07-24T13:22:04,")
    try:
        at = datetime.fromisoformat(f"{time[1]}.{time[2]}{time[3]}")
    except ValueError as error:
        raise RecordsError(f"TM: {error}") from error
    energy_wh = None
    if counted is not None:
        if not isinstance(counted, Decimal) or texts["RU"] not in _WH:
            raise RecordsError(
                f"RV {counted!r:.20} {texts['RU']!r:.10}: Wh, kWh needed"
            )
        energy_wh = counted * _WH[texts["RU"]]
        if not 0 <= energy_wh < Decimal(10) ** 13:
            raise RecordsError(f"RV {counted}: no meter counts that")
    obis = _OBIS.fullmatch(texts["RI"])
    kind = obis[1].upper() if obis else ""
    return Value(
        at=at,
        clock=time[4],
        reason=texts["TX"],
        obis=texts["RI"],
        energy_wh=energy_wh,
        exported=None if kind not in _IMPORT + _EXPORT else kind in _EXPORT,
        status=texts["ST"],
        errors=texts["EF"],
    )


def _difference(
    first: list[Value], last: list[Value], *, exported: bool
) -> float | None:
    """Of one direction: the register that both ends hold."""
    begin = {v.obis: v.energy_wh for v in first if v.exported is exported}
    for value in last:
        before = begin.get(value.obis)
        if value.energy_wh is not None and before is not None:
            return float(value.energy_wh - before)
    return None


def _signature(signed: Mapping[str, Any]) -> bytes:
    data, encoding = signed.get("SD"), signed.get("SE", "hex")
    if not isinstance(data, str) or encoding not in ("hex", "base64"):
        raise RecordsError("OCMF: SD: a signature in hex or base64 is needed")
    try:
        if encoding == "base64":
            return base64.b64decode(data, validate=True)
        return bytes.fromhex(data)
    except (ValueError, binascii.Error) as error:
        raise RecordsError(f"OCMF: SD: not {encoding}: {error}") from error


def _der(signature: bytes, key_bits: int) -> bytes:
    """DER as it is; the bare r||s that some devices write as DER."""
    size = (key_bits + 7) // 8
    if len(signature) != 2 * size:
        return signature
    r, s = (int.from_bytes(part) for part in (signature[:size], signature[size:]))
    return utils.encode_dss_signature(r, s)


def _key(text: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePublicKey:
    """ValueError: no key of an elliptic curve."""
    bare = "".join(text.split())
    try:
        data = bytes.fromhex(bare)
    except ValueError:
        data = base64.b64decode(bare, validate=True)
    if data[:1] == b"\x04":
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, data)
    key = load_der_public_key(data)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("not of an elliptic curve")  # noqa: TRY004 - its content
    return key
