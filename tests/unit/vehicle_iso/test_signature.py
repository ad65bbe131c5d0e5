"""Signatures: every signed message through the wire and back, what is refused, and
signatures that another stack made (recorded beside the checkout, not in it)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from chargerd.vehicle.iso15118 import exi, signature
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.messages import xmldsig
from tests.exi_random import Maker, roots

RECORDED = Path(__file__).parents[4] / "shared" / "vectors" / "exi.jsonl"
P256 = ec.generate_private_key(ec.SECP256R1())
P521 = ec.generate_private_key(ec.SECP521R1())
ED448 = ed448.Ed448PrivateKey.generate()
ISO2, ISO20 = signature.ISO2, signature.ISO20

# schema, message, element and the way to it from the message
CERTIFICATES = (
    "ContractSignatureCertChain",
    "ContractSignatureEncryptedPrivateKey",
    "DHpublickey",
    "eMAID",
)
SIGNED: list[tuple[str, str, tuple[str, ...]]] = [
    ("iso2", "CertificateInstallationReq", ("",)),
    ("iso2", "CertificateInstallationRes", CERTIFICATES),
    ("iso2", "CertificateUpdateRes", CERTIFICATES),
    ("iso2", "AuthorizationReq", ("",)),
    ("iso2", "MeteringReceiptReq", ("",)),
    ("iso2", "ChargeParameterDiscoveryRes", ("SalesTariff",)),
    ("common", "AuthorizationReq", ("PnC_AReqAuthorizationMode",)),
    ("common", "CertificateInstallationReq", ("OEMProvisioningCertificateChain",)),
    ("common", "CertificateInstallationRes", ("SignedInstallationData",)),
    ("common", "MeteringConfirmationReq", ("SignedMeteringData",)),
    ("common", "ScheduleExchangeRes", ("AbsolutePriceSchedule",)),
]


def inside(value: Any, name: str) -> Iterator[Any]:
    """Every value held under `name`, at any depth."""
    for field in type(value).fields_:
        held = getattr(value, field.name)
        for each in held if isinstance(held, list) else [held]:
            if each is not None and field.name == name:
                yield each
            if hasattr(type(each), "fields_"):
                yield from inside(each, name)


def parts_of(schema: str, body: Any, names: tuple[str, ...]) -> dict[str, bytes]:
    """Id -> fragment, as either side makes it."""
    if names == ("",):
        return {body.Id: exi.encode_fragment(schema, type(body).__name__, body)}
    found = {}
    for name in names:
        for each in inside(body, name):
            found[each.Id] = exi.encode_fragment(schema, name, each)
    return found


def make(schema: str, name: str, names: tuple[str, ...]) -> tuple[Any, Any]:
    """A random message that holds the parts, each with its own Id, and its body."""
    declared = import_module(f"chargerd.vehicle.iso15118.messages.{schema}").SCHEMA
    root = next(each for each in roots(declared) if each.name == name)
    for number in range(500):
        body = Maker(declared, Random(f"{name} {number}"), 0.6).message(root)
        held = [body] if names == ("",) else []
        held += [each for name in names for each in inside(body, name)]
        if not len(names) <= len(held) <= signature.MAX_REFERENCES:
            continue
        for index, each in enumerate(held):
            each.Id = f"id{index}"
        if schema != "iso2":
            return body, body
        envelope = next(e for e in roots(declared) if e.name == "V2G_Message").type
        header, inner = (field.type for field in envelope.fields_)
        message = envelope(
            Header=header(SessionID=bytes(8)), Body=inner(BodyElement=body)
        )
        return message, body
    raise AssertionError(f"no {name} with {names}")


@pytest.mark.parametrize(("schema", "name", "names"), SIGNED)
@pytest.mark.parametrize("key", [P256, P521, ED448])
def test_through_the_wire_and_back(
    schema: str, name: str, names: tuple[str, ...], key: signature.PrivateKey
) -> None:
    suites = ISO2 if schema == "iso2" else ISO20
    if (key is P256) is not (schema == "iso2"):
        with pytest.raises(V2gError, match="curve"):
            signature.sign({"a": b"1"}, key, suites)
        return
    message, body = make(schema, name, names)
    parts = parts_of(schema, body, names)
    message.Header.Signature = signature.sign(parts, key, suites)
    told = exi.decode(schema, exi.encode(message))
    body = told.Body.BodyElement if schema == "iso2" else told
    again = parts_of(schema, body, names)
    assert again == parts
    signature.verify(told.Header.Signature, again, key.public_key(), suites)
    lost = {name: data + b"\x00" for name, data in again.items()}
    with pytest.raises(V2gError, match="was changed after"):
        signature.verify(told.Header.Signature, lost, key.public_key(), suites)


PARTS = {"id1": b"one", "id2": b"two"}


def signed() -> xmldsig.Signature:
    return signature.sign(PARTS, P256, ISO2)


def check(value: xmldsig.Signature, parts: dict[str, bytes] | None = None) -> None:
    signature.verify(value, parts or PARTS, P256.public_key(), ISO2)


def test_shape_of_a_signature() -> None:
    value = signed()
    check(value)
    info = value.SignedInfo
    assert [each.URI for each in info.Reference] == ["#id1", "#id2"]
    assert len(value.SignatureValue.value) == 64
    assert len(signature.sign(PARTS, P521, ISO20).SignatureValue.value) == 132
    by_ed448 = signature.sign(PARTS, ED448, ISO20)
    assert len(by_ed448.SignatureValue.value) == 114
    assert len(by_ed448.SignedInfo.Reference[0].DigestValue) == 64
    schema, held = exi.decode_fragment(
        "xmldsig", exi.encode_fragment("xmldsig", "SignedInfo", info)
    )
    assert (schema, held) == ("SignedInfo", info)


def test_small_r_and_s_keep_their_zeros() -> None:
    """About one in 128 has a leading zero byte: none may shift or fail."""
    for _ in range(300):
        check(signed())


def _method(value: xmldsig.Signature, uri: str) -> None:
    value.SignedInfo.SignatureMethod.Algorithm = uri


CHANGES: list[tuple[str, Callable[[xmldsig.Signature], object]]] = [
    ("not for this protocol", lambda v: _method(v, signature.P521.signature_uri)),
    ("not for this protocol", lambda v: _method(v, "http://example.org/none")),
    ("not made with this key", lambda v: setattr(v.SignatureValue, "value", bytes(64))),
    ("not made with this key", lambda v: setattr(v.SignatureValue, "value", b"")),
    (
        "not made with this key",
        lambda v: setattr(v.SignatureValue, "value", v.SignatureValue.value + b"\0"),
    ),
    ("not made with this key", lambda v: setattr(v.SignedInfo, "Id", "new")),
    ("KeyInfo", lambda v: setattr(v, "KeyInfo", xmldsig.KeyInfo(content=[]))),
    ("Object", lambda v: v.Object.append(xmldsig.Object(content=[]))),
    (
        "canonical EXI",
        lambda v: setattr(v.SignedInfo.CanonicalizationMethod, "Algorithm", "c14n"),
    ),
    (
        "no parameters",
        lambda v: v.SignedInfo.SignatureMethod.content.append(("HMACOutputLength", 1)),
    ),
    (
        "one transform",
        lambda v: setattr(v.SignedInfo.Reference[0], "Transforms", None),
    ),
    (
        "one transform",
        lambda v: v.SignedInfo.Reference[0].Transforms.Transform.append(
            xmldsig.Transform(Algorithm=signature.CANONICAL_EXI)
        ),
    ),
    (
        "one transform",
        lambda v: (
            v.SignedInfo.Reference[0]
            .Transforms.Transform[0]
            .content.append(("XPath", "//a"))
        ),
    ),
    (
        "digest 'x'",
        lambda v: setattr(v.SignedInfo.Reference[1].DigestMethod, "Algorithm", "x"),
    ),
    (
        "was changed after",
        lambda v: setattr(v.SignedInfo.Reference[0], "DigestValue", b""),
    ),
    ("must be signed", lambda v: setattr(v.SignedInfo.Reference[0], "URI", "#id2")),
    ("must be signed", lambda v: setattr(v.SignedInfo.Reference[0], "URI", None)),
    ("must be signed", lambda v: v.SignedInfo.Reference.pop()),
    (
        "must be signed",
        lambda v: v.SignedInfo.Reference.append(deepcopy(v.SignedInfo.Reference[0])),
    ),
    (
        "at most 4",
        lambda v: v.SignedInfo.Reference.extend(v.SignedInfo.Reference * 2),
    ),
]


@pytest.mark.parametrize(("reason", "change"), CHANGES)
def test_refused(reason: str, change: Callable[[xmldsig.Signature], object]) -> None:
    value = signed()
    change(value)
    with pytest.raises(V2gError, match=reason):
        check(value)


def test_every_part_must_be_signed() -> None:
    with pytest.raises(V2gError, match="must be signed"):
        check(signed(), {**PARTS, "id3": b"three"})
    with pytest.raises(V2gError, match="0 parts"):
        signature.sign({}, P256, ISO2)
    with pytest.raises(V2gError, match="5 parts"):
        signature.sign({str(i): b"" for i in range(5)}, P256, ISO2)


def test_another_key_and_another_curve() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(V2gError, match="not made with this key"):
        signature.verify(signed(), PARTS, other, ISO2)
    for key in (P521.public_key(), ED448.public_key()):
        with pytest.raises(V2gError, match="not for this protocol and key"):
            signature.verify(signed(), PARTS, key, ISO2)


# --- signatures of another stack ------------------------------------------------------


def recorded() -> Iterator[tuple[str, str, Any]]:
    for line in RECORDED.read_text().splitlines():
        vector = json.loads(line)
        if vector["schema"] in ("iso2", "common"):
            message = exi.decode(vector["schema"], bytes.fromhex(vector["hex"]))
            yield vector["source"], vector["schema"], message


def test_signatures_of_another_stack() -> None:
    if not RECORDED.is_file():
        pytest.skip("no recorded messages beside this checkout")
    contracts: dict[str, bytes] = {}
    verified = tariffs = 0
    for source, schema, message in recorded():
        body = message.Body.BodyElement if schema == "iso2" else message
        name, header = type(body).__name__, message.Header
        if name == "PaymentDetailsReq":
            contracts[source] = body.ContractSignatureCertChain.Certificate
        if header.Signature is None:
            continue
        names = next(
            held for where, of, held in SIGNED if (where, of) == (schema, name)
        )
        parts = parts_of(schema, body, names)
        if name == "ChargeParameterDiscoveryRes":  # its signer's key is not recorded
            (reference,) = header.Signature.SignedInfo.Reference
            assert reference.DigestValue in map(signature.P256.digest, parts.values())
            tariffs += 1
            continue
        if name == "CertificateInstallationReq":
            certificate = body.OEMProvisioningCert
        elif name == "CertificateInstallationRes":
            certificate = body.SAProvisioningCertificateChain.Certificate
        elif schema == "common":
            chain = body.PnC_AReqAuthorizationMode.ContractCertificateChain
            certificate = chain.Certificate
        else:
            certificate = contracts[source]
        key = x509.load_der_x509_certificate(certificate).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        # that stack signs -20 with -2's curve, too
        signature.verify(header.Signature, parts, key, ISO2)
        verified += 1
    assert verified >= 10
    assert tariffs >= 5
