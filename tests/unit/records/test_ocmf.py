"""OCMF: what is signed is what was written; both directions; nothing hostile gets in.

Texts are made here from the public format (OCMF-en.md, rev. 1.2); tests/interop checks
them and the bench's meter with a library that we did not write.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.records import ocmf
from chargerd.records.errors import RecordsError

AT = "2026-11-25T07:30:00,000+0900 S"
LATER = "2026-11-25T09:00:00,500+0900 S"


def reading(reason: str, counted: float | str, **more: Any) -> dict[str, Any]:
    at = AT if reason == "B" else LATER
    shown = {"TM": at, "TX": reason, "RV": counted, "RI": "1-0:1.8.0", "RU": "kWh"}
    return {**shown, "RT": "AC", "EF": "", "ST": "G", **more}


def fields(*readings: dict[str, Any]) -> dict[str, Any]:
    return {"FV": "1.0", "PG": "T7", "MS": "SN-1", "IS": True, "RD": list(readings)}


BOTH = fields(
    reading("B", 100.5),
    reading("B", 7.25, RI="1-0:2.8.0"),
    reading("E", 112.75, RI="1-0:1.8.0"),
    reading("E", 9.0, RI="1-0:2.8.0"),
)
KEY = ec.generate_private_key(ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey, *, point: bool = False) -> bytes:
    if point:
        form = (Encoding.X962, PublicFormat.UncompressedPoint)
    else:
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form)


def written(
    values: dict[str, Any], key: ec.EllipticCurvePrivateKey, curve: str = "secp256r1"
) -> str:
    """A text as a meter makes it."""
    payload = json.dumps(values, separators=(",", ":"))
    signature = key.sign(payload.encode(), ec.ECDSA(hashes.SHA256()))
    signed = {"SA": f"ECDSA-{curve}-SHA256", "SD": signature.hex()}
    return f"OCMF|{payload}|{json.dumps(signed, separators=(',', ':'))}"


CURVES = [  # as the text names it; table 22 has no P, devices and pyocmf do
    ("secp192r1", ec.SECP192R1()),
    ("secp256r1", ec.SECP256R1()),
    ("secp256k1", ec.SECP256K1()),
    ("secp384r1", ec.SECP384R1()),
    ("brainpoolP256r1", ec.BrainpoolP256R1()),
    ("brainpool384r1", ec.BrainpoolP384R1()),
]


@pytest.mark.parametrize(("name", "curve"), CURVES)
def test_what_was_signed_holds_with_its_key_alone(
    name: str, curve: ec.EllipticCurve
) -> None:
    key, other = ec.generate_private_key(curve), ec.generate_private_key(curve)
    found = ocmf.parse(written(BOTH, key, name))
    assert ocmf.verify(found, public(key).hex()) == ""
    assert ocmf.verify(found, public(key, point=True).hex().upper()) == ""
    assert ocmf.verify(found, base64.b64encode(public(key)).decode()) == ""
    assert "does not fit" in ocmf.verify(found, public(other).hex())


def test_energy_of_both_directions_and_when() -> None:
    document = ocmf.parse(written(BOTH, KEY))
    found = ocmf.energy(document)
    assert (found.import_wh, found.export_wh, found.good) == (12_250.0, 1_750.0, True)
    first, last = document.values[0], document.values[-1]
    assert last.at - first.at == timedelta(hours=1.5, seconds=0.5)
    assert (first.at.astimezone(UTC).hour, first.clock) == (22, "S")


@pytest.mark.parametrize(
    ("obis", "exported"),
    [
        ("1-b:1.8.0", False),
        ("1-0:1.8.0*198", False),
        ("1-0:2.8.0*255", True),
        ("01-00:01.08.00.FF", False),
        ("01-00:02.08.00.FF", True),
        ("01-00:B2.08.00.FF", False),
        ("01-00:C3.08.00.FF", True),
        ("1-0:16.7.0", None),  # a power
        ("nonsense", None),
    ],
)
def test_the_register_says_the_direction(obis: str, exported: bool | None) -> None:
    text = written(fields(reading("B", 1, RI=obis)), KEY)
    assert ocmf.parse(text).values[0].exported is exported


def test_fields_that_are_left_out_are_those_of_the_reading_before() -> None:
    short = {"TM": LATER, "TX": "E", "RV": 101}
    found = ocmf.parse(written(fields(reading("B", 100), short), KEY))
    last = found.values[-1]
    assert (last.obis, last.status, last.energy_wh) == ("1-0:1.8.0", "G", 101_000)
    assert ocmf.energy(found).import_wh == 1000.0
    assert ocmf.energy(found).export_wh is None


@pytest.mark.parametrize("wrong", [{"ST": "M"}, {"EF": "E"}, {"EF": "Et"}, {"ST": "F"}])
def test_an_energy_marked_as_not_usable_is_told(wrong: dict[str, str]) -> None:
    text = written(fields(reading("B", 1), reading("E", 2, **wrong)), KEY)
    assert ocmf.energy(ocmf.parse(text)).good is False


@pytest.mark.parametrize(
    "between",
    [
        reading("X", 1.5, EF="E"),  # not usable from here on, table 7
        {"TM": LATER, "TX": "X", "ST": "M"},  # an event has no value
    ],
)
def test_a_reading_between_that_is_not_usable_is_told(between: dict[str, Any]) -> None:
    text = written(fields(reading("B", 1), between, reading("E", 2)), KEY)
    assert ocmf.energy(ocmf.parse(text)).good is False


@settings(deadline=None)
@given(st.data())
def test_any_changed_character_of_the_payload_is_found(data: st.DataObject) -> None:
    text = written(BOTH, KEY)
    head, payload, tail = text.split("|")
    at = data.draw(st.integers(0, len(payload) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
    if other == payload[at]:
        return
    changed = f"{head}|{payload[:at]}{other}{payload[at + 1 :]}|{tail}"
    try:
        found = ocmf.parse(changed)
    except RecordsError:
        return
    assert ocmf.verify(found, public(KEY).hex())


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=300))
def test_nothing_but_our_exception_comes_out(text: str) -> None:
    for tried in (text, f"OCMF|{text}|{text}", f'OCMF|{{"RD":[{text}]}}|{{"SD":"00"}}'):
        try:
            ocmf.parse(tried)
        except RecordsError:
            continue


_BAD = [
    ("x" * 20_000, "characters"),
    ("OCMF|{}", "form"),
    ("OCMF|[1]|{}", "JSON object"),
    ('OCMF|{"RD":[]}|{"SD":"00"}', "readings"),
    ('OCMF|{"RD":[{}]}|{"SD":"00"}', "TM"),
    ('OCMF|{"RD":[7]}|{"SD":"00"}', "JSON object"),
    (f"OCMF|{json.dumps(BOTH)}|{{}}", "SD"),
    (f'OCMF|{json.dumps(BOTH)}|{{"SD":"zz"}}', "SD"),
    (f'OCMF|{json.dumps(BOTH)}|{{"SD":"00","SM":"text"}}', "SM"),
    (f"OCMF|{json.dumps(fields(reading('B', 1, RU='mOhm')))}|{{}}", "RV"),
    (f"OCMF|{json.dumps(fields(reading('B', -1)))}|{{}}", "RV"),
    (f"OCMF|{json.dumps(fields(reading('B', '1')))}|{{}}", "RV"),
    (f"OCMF|{json.dumps(fields(reading('B', 1, TX=3)))}|{{}}", "text"),
    (f"OCMF|{json.dumps(fields(reading('B', 1, TM='2026-13-01T00:00:00,000+0000 S')))}|"
     '{}', "TM"),
    ('OCMF|{"RD":[{"RV":NaN}]}|{"SD":"00"}', "NaN"),
    ("OCMF|" + "[" * 8000 + "|{}", "JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "word"), _BAD, ids=[word for _, word in _BAD])
def test_what_is_no_ocmf_is_refused_with_its_place(text: str, word: str) -> None:
    with pytest.raises(RecordsError, match=word):
        ocmf.parse(text)


def test_what_cannot_be_verified_says_why() -> None:
    text = written(BOTH, KEY)
    found = ocmf.parse(text)
    assert "public key" in ocmf.verify(found, "nonsense")
    assert "public key" in ocmf.verify(found, "04" * 65)
    other = ec.generate_private_key(ec.SECP384R1())
    assert "key is of" in ocmf.verify(found, public(other).hex())
    odd = ocmf.parse(text.replace("secp256r1", "secp521r1"))
    assert "not known" in ocmf.verify(odd, public(KEY).hex())


def test_a_bare_signature_and_base64_are_read() -> None:
    """The format's own example holds r||s; SE says how it is written."""
    payload = json.dumps(BOTH)
    der = KEY.sign(payload.encode(), ec.ECDSA(hashes.SHA256()))
    r, s = utils.decode_dss_signature(der)
    bare = (r.to_bytes(32) + s.to_bytes(32)).hex()
    for signed in (
        {"SD": bare},
        {"SD": base64.b64encode(der).decode(), "SE": "base64"},
    ):
        found = ocmf.parse(f"OCMF|{payload}|{json.dumps(signed)}\n")
        assert found.algorithm == ocmf.DEFAULT_ALGORITHM
        assert ocmf.verify(found, public(KEY).hex()) == ""


def test_energy_needs_begin_and_end() -> None:
    with pytest.raises(RecordsError, match="begin and end"):
        ocmf.energy(ocmf.parse(written(fields(reading("B", 1)), KEY)))
