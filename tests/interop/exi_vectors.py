"""Writes tests/vectors/exi_own*.jsonl: our own messages, the bytes by the jar.

    python -m tests.interop.exi_vectors

The messages are those of tests/exi_variants.py. The bytes are those of the wheel's
EXICodec.jar: our codec has no part in them, so that the files prove it wherever there
is no Java.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.exi.codec import codec
from chargerd.vehicle.iso15118.exi.plain import to_plain
from chargerd.vehicle.iso15118.messages.declare import Schema
from tests.exi_variants import fragments, variants
from tests.interop import exi_jar, exi_xml

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
DOCUMENTS = FOLDER / "exi_own.jsonl"
FRAGMENTS = FOLDER / "exi_own_fragments.jsonl"
SETS = ("sap", "din", "iso2", "common", "ac", "dc", "acdp", "wpt")


def declared(name: str) -> Schema:
    schema = import_module(f"chargerd.vehicle.iso15118.messages.{name}").SCHEMA
    if not isinstance(schema, Schema):
        raise TypeError(f"{name}.SCHEMA is no Schema")
    return schema


def write(path: Path, vectors: list[dict[str, Any]]) -> None:
    """One JSON line each, without repeats."""
    lines = [
        json.dumps(vector, separators=(",", ":"), ensure_ascii=False)
        for vector in vectors
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(dict.fromkeys(lines)) + "\n")
    sys.stdout.write(f"{path.name}: {len(dict.fromkeys(lines))} vectors\n")


def main() -> int:
    documents: list[dict[str, Any]] = []
    signed: list[dict[str, Any]] = []
    with exi_jar.Jar() as jar:
        for schema in map(declared, SETS):
            for root, message in variants(schema):
                xml = exi_xml.write(schema, root.namespace, root.name, message)
                data, plain = jar.encode(schema.name, xml), exi.to_json(message)
                documents.append(
                    {"schema": schema.name, "hex": data.hex(), "decoded": plain}
                )
        for schema in map(declared, (*SETS, "xmldsig")):
            grammar = codec(schema.name).grammar
            for namespace, name, value in fragments(schema):
                xml = exi_xml.write(schema, namespace, name, value)
                data = jar.encode(schema.name, xml, fragment=True)
                plain = {name: to_plain(grammar, value)}
                signed.append(
                    {"schema": schema.name, "hex": data.hex(), "decoded": plain}
                )
    write(DOCUMENTS, documents)
    write(FRAGMENTS, signed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
