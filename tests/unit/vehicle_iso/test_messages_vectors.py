"""Every recorded message decodes to its values and encodes to its bytes again.

The recordings are other people's (real vehicles, other stacks) and lie beside the
checkout, not in it; tests/vectors/exi_own.jsonl is ours and always here.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi.codec import codec
from chargerd.vehicle.iso15118.exi.plain import to_plain

ROOT = Path(__file__).resolve().parents[3]
RECORDED = ROOT.parent / "shared" / "vectors" / "exi.jsonl"
OWN = ROOT / "tests" / "vectors" / "exi_own.jsonl"
SIGNED = ROOT / "tests" / "vectors" / "exi_own_fragments.jsonl"


def failures(path: Path) -> tuple[int, list[str]]:
    """How many lines there are, and what is wrong with which."""
    found: list[str] = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        vector = json.loads(line)
        if wrong := failure(vector):
            found.append(f"line {number} {vector['schema']}: {wrong}")
    return len(lines), found


def failure(vector: dict[str, Any]) -> str:
    """What is wrong with one vector; empty where all is right."""
    schema, data = vector["schema"], bytes.fromhex(vector["hex"])
    try:
        message = exi.decode(schema, data)
        obj = exi.to_json(message)
        again = exi.encode(message)
        built = exi.encode(exi.from_json(schema, vector["decoded"]))
    except V2gError as error:
        return repr(error)
    if obj != vector["decoded"]:
        return f"decoded to {json.dumps(obj)}"
    if again != data:
        return f"encoded to {again.hex()}"
    return "" if built == data else f"from JSON encoded to {built.hex()}"


@pytest.mark.skipif(not RECORDED.is_file(), reason="recordings are not beside us")
def test_recorded_messages() -> None:
    count, wrong = failures(RECORDED)
    assert wrong == []
    assert count == 2444


def test_own_messages() -> None:
    """The bytes in the file are the jar's (tests/interop/exi_vectors.py)."""
    count, wrong = failures(OWN)
    assert wrong == []
    assert count == 221


@pytest.mark.parametrize("name", [name for name in exi.SCHEMAS if name != "xmldsig"])
def test_own_messages_are_of_every_type(name: str) -> None:
    schema = import_module(f"chargerd.vehicle.iso15118.messages.{name}").SCHEMA
    wanted = {e.name for e in schema.elements if e.name.endswith(("Req", "Res"))}
    found: set[str] = set()
    for line in OWN.read_text().splitlines():
        vector = json.loads(line)
        if vector["schema"] == name:
            root, inner = next(iter(vector["decoded"].items()))
            found |= set(inner["Body"]) if root == "V2G_Message" else {root}
    assert found == wanted


def test_own_fragments() -> None:
    """What signatures are made of: again the jar's bytes."""
    lines = SIGNED.read_text().splitlines()
    for line in lines:
        vector = json.loads(line)
        schema, data = vector["schema"], bytes.fromhex(vector["hex"])
        name, value = exi.decode_fragment(schema, data)
        assert {name: to_plain(codec(schema).grammar, value)} == vector["decoded"]
        assert exi.encode_fragment(schema, name, value) == data, f"{schema} {name}"
    assert len(lines) == 27
