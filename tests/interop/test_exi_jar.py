"""Our codec beside the EXIficient of the wheel's EXICodec.jar, message by message.

Random valid messages of every type, both directions, byte for byte; fragments; full
lists. Where the jar errs the table here says so and why.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import codec
from chargerd.vehicle.iso15118.messages.declare import (
    Complex,
    ComplexMeta,
    Field,
    Global,
    Schema,
)
from tests.exi_random import Maker, roots, within
from tests.interop import exi_xml
from tests.interop.exi_jar import Jar, JarRefusedError

OWN = Path(__file__).parents[1] / "vectors" / "exi_own.jsonl"
SETS = ("sap", "din", "iso2", "common", "ac", "dc", "acdp", "wpt", "xmldsig")
ROUNDS = int(os.environ.get("EXI_ROUNDS", "1"))  # 100 takes an hour
pytestmark = [pytest.mark.interop, pytest.mark.timeout(300 * ROUNDS)]
PER_ROOT, PER_ENVELOPE = 20 * ROUNDS, 400 * ROUNDS  # an envelope: one of 34 bodies

# The grammars baked into the jar are not those of the XSDs beside it in the wheel: an
# element that may come this often, or more often, is baked as if without bound, so the
# event code after the last of a full list is wider. EXIficient itself, with the XSDs,
# agrees with us there.
JAR_UNBOUNDED_FROM = {"iso2": 16, "common": 255, "wpt": 255}


# The wheel's own way into the jar (JSON, JAXB) has faults of its own:
FACE_FAULTS = {
    ("sap", "SupportedAppProtocolRes"): "writes SchemaID 0 where it is absent",
    ("iso2", "MeteringReceiptReq"): "writes SAScheduleTupleID 0 where it is absent",
    ("din", "ChargeParameterDiscoveryRes"): "looks for what SalesTariff Id refers to",
    ("din", "CertificateUpdateReq"): "needs javax.mail, which is not in the jar",
    ("din", "CertificateUpdateRes"): "needs javax.mail, which is not in the jar",
    ("din", "CertificateInstallationReq"): "needs javax.mail, not in the jar",
    ("din", "CertificateInstallationRes"): "needs javax.mail, not in the jar",
    ("din", "PaymentDetailsReq"): "needs javax.mail, which is not in the jar",
}


def schema_of(name: str) -> Schema:
    found: Schema = import_module(f"chargerd.vehicle.iso15118.messages.{name}").SCHEMA
    return found


@pytest.fixture(scope="module")
def jar() -> Iterator[Jar]:
    with Jar() as jar:
        yield jar


def encode(schema: Schema, message: Any) -> bytes:
    """By the set's own codec, whatever module the class is of."""
    return codec(schema.name).encode(message)


def compare(jar: Jar, schema: Schema, xml: str, message: Any) -> None:
    """Their bytes are ours, we read theirs, they read ours."""
    theirs = jar.encode(schema.name, xml)
    ours = encode(schema, message)
    assert ours.hex() == theirs.hex(), xml
    read = exi.decode_noting(schema.name, theirs)
    assert (read.message, read.tolerated) == (message, ())
    assert exi_xml.shape(jar.decode(schema.name, ours)) == exi_xml.shape(xml)


def as_xml(schema: Schema, namespace: str, name: str, value: Any) -> str:
    return exi_xml.write(schema, namespace, name, value)


@pytest.mark.parametrize("name", SETS)
def test_random_messages(jar: Jar, name: str) -> None:
    schema = schema_of(name)
    for root in roots(schema):
        for number in range(PER_ENVELOPE if root.name == "V2G_Message" else PER_ROOT):
            rich = (0.0, 0.2, 0.5, 0.8)[number % 4]
            random = Random(f"{name} {root.name} {number}")
            message = Maker(schema, random, rich).message(root)
            xml = as_xml(schema, root.namespace, root.name, message)
            compare(jar, schema, xml, message)


def lists(schema: Schema) -> dict[str, tuple[Field, Global]]:
    """Every element that may come more than once and not without bound: name -> it
    and a root that may hold it."""
    found: dict[str, tuple[Field, Global]] = {}
    for root in roots(schema):
        for cls in within(schema, root):
            for field in cls.fields_:
                if field.kind == "element" and field.many and field.max is not None:
                    found.setdefault(field.name, (field, root))
    return found


def with_list(
    schema: Schema, field: Field, root: Global, count: int
) -> tuple[str, Complex]:
    """XML and message of `root` that hold `field` so many times."""
    for number in range(2_000):
        random = Random(f"{root.name} {field.name} {number}")
        maker = Maker(schema, random, 0.7, {field.name: count})
        message = maker.message(root)
        xml = as_xml(schema, root.namespace, root.name, message)
        tree = ElementTree.fromstring(xml)  # noqa: S314 - our own
        held = (node.tag.rpartition("}")[2] for node in tree.iter())
        if sum(name == field.name for name in held) >= count:
            return xml, message
    raise AssertionError(f"{schema.name}: no {root.name} holds {field.name}")


@pytest.mark.parametrize("name", [name for name in SETS if name != "xmldsig"])
def test_full_lists(jar: Jar, name: str) -> None:
    schema = schema_of(name)
    for field, root in lists(schema).values():
        most = field.max or 0
        for count in {max(field.min, 1), most - 1, most}:
            compare(jar, schema, *with_list(schema, field, root, count))


@pytest.mark.parametrize("name", SETS)
def test_the_jars_own_grammars(jar: Jar, name: str) -> None:
    """What the jar itself would send, where no list is full."""
    schema = schema_of(name)
    least = {field.name: max(field.min, 1) for field, _ in lists(schema).values()}
    for root in roots(schema):
        for number in range(2):
            maker = Maker(schema, Random(f"{name} {root.name} {number}"))
            maker.counts = least
            message = maker.message(root)
            xml = as_xml(schema, root.namespace, root.name, message)
            theirs = jar.encode(name, xml, way="jar")
            assert encode(schema, message).hex() == theirs.hex(), xml


@pytest.mark.parametrize("name", SETS)
def test_the_jars_own_grammars_in_full_lists(jar: Jar, name: str) -> None:
    """They differ where the table says, and nowhere else."""
    schema = schema_of(name)
    bound = JAR_UNBOUNDED_FROM.get(name, 1_000_000)
    for field, root in lists(schema).values():
        most = field.max or 0
        xml, message = with_list(schema, field, root, most)
        same = jar.encode(name, xml, way="jar") == encode(schema, message)
        assert same is (most < bound), field.name


@pytest.mark.parametrize("name", SETS)
def test_fragments(jar: Jar, name: str) -> None:
    """Every element of a class of its own, as signatures see it."""
    schema = schema_of(name)
    elements: dict[tuple[str, str], set[Any]] = {}
    for root in schema.elements:
        elements.setdefault((root.namespace, root.name), set()).add(root.type)
    for cls in schema.types:
        for field in cls.fields_:
            if field.kind == "element" and not field.ref:
                key = (field.namespace, field.name)
                elements.setdefault(key, set()).add(field.type)
    seen = set()
    for (namespace, local), types in sorted(elements.items(), key=lambda e: e[0]):
        (type_,) = types if len(types) == 1 else (None,)
        if (
            not isinstance(type_, ComplexMeta)
            or type_.abstract_
            or "SignaturePr" in local
        ):
            continue
        if local in seen:  # of two namespaces the first is meant; none is ever signed
            continue
        seen.add(local)
        for number in range(3):
            maker = Maker(schema, Random(f"{name} {local} {number}"))
            value = maker.value(type_, 0)
            plain = namespace == exi_xml.PLAIN_ELEMENTS and local == "AppProtocol"
            xml = as_xml(schema, "" if plain else namespace, local, value)
            theirs = jar.encode(name, xml, fragment=True)
            ours = exi.encode_fragment(name, local, value)
            assert ours.hex() == theirs.hex(), xml
            assert exi.decode_fragment(name, theirs) == (local, value)


def texts(value: Any) -> Iterator[str]:
    """Every string in a message."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)
    elif isinstance(value, Complex):
        for field in type(value).fields_:
            yield from texts(getattr(value, field.name))


@pytest.mark.parametrize("name", SETS[:-1])
def test_changed_bytes(jar: Jar, name: str) -> None:
    """What we read of damaged messages the jar reads, too, and as the same values.

    Not the other way round: the jar does not look at ranges, takes what ends too early
    and content that the schema has no place for.
    """
    schema = schema_of(name)
    of_type = {root.type: root for root in roots(schema)}
    known = [json.loads(line) for line in OWN.read_text().splitlines()]
    good = [bytes.fromhex(row["hex"]) for row in known if row["schema"] == name]
    random, read = Random(f"{name} changed"), 0
    for _ in range(200 * ROUNDS):
        data = bytearray(random.choice(good))
        for _ in range(random.choice((1, 1, 2, 3))):
            bit = random.randrange(8, len(data) * 8)
            data[bit >> 3] ^= 1 << (bit & 7)
        try:
            message = exi.decode(name, bytes(data))
        except V2gError:
            continue
        if not all(text.isprintable() for text in texts(message)):
            continue  # XML has no words for control characters, or changes them
        root = of_type[type(message)]
        xml = as_xml(schema, root.namespace, root.name, message)
        told = jar.decode(name, bytes(data))
        assert exi_xml.shape(told) == exi_xml.shape(xml), data.hex()
        read += 1
    assert read > 20


def messages(schema: Schema) -> Iterator[tuple[Any, Any]]:
    """Messages as sent, with what FACE_FAULTS knows them by; none is signed."""
    known = list(roots(schema))
    envelope = [root for root in known if root.name == "V2G_Message"]
    for number, root in enumerate(envelope * 100 or known * 2):
        random = Random(f"{schema.name} {root.name} {number}")
        message = Maker(schema, random, 0.3).message(root)
        if hasattr(message, "Header"):
            message.Header.Signature = None
        yield message, message.Body.BodyElement if envelope else message


@pytest.mark.parametrize("name", ["sap", "din", "iso2", "common", "ac", "dc"])
def test_the_wheels_face(jar: Jar, name: str) -> None:
    """JSON in, bytes out, JSON back, as EcoG's stack does it."""
    schema = schema_of(name)
    agreed = 0
    for message, body in messages(schema):
        row = (name, type(body).__name__)
        text = json.dumps(exi.to_json(message))
        ours = exi.encode(message)
        try:
            same = jar.encode(name, text, way="face") == ours
        except JarRefusedError:
            same = False
        assert same or row in FACE_FAULTS, text
        if same:
            back = json.loads(jar.decode(name, ours, way="face"))
            assert exi.from_json(name, back) == message
            agreed += 1
    assert agreed
