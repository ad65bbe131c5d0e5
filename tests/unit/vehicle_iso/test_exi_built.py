"""The codec builds what is used, when it is used, once; what a message may hold.

The bound on lists that have none in the schema is our own: [V2G2-909] allows a
signature 4 references; the schedules of -2 and -20, which are bounded, hold 1,024.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.errors import V2gError
from chargerd.vehicle.iso15118.exi import bits
from chargerd.vehicle.iso15118.exi.codec import MESSAGES, Codec, codec, schema_of
from chargerd.vehicle.iso15118.messages import common, xmldsig
from tests.exi_dense import din_parameters, schedule, session_stop, signature

OWN = Path(__file__).parents[2] / "vectors" / "exi_own.jsonl"
TEXTS = [("#text", "")] * 64
SAP_RESPONSE = "80400040"
LOADED = (
    "import json, sys; from chargerd.vehicle.iso15118 import exi;"
    "exi.decode('sap', bytes.fromhex('{data}'));"
    "print(json.dumps([name for name in sys.modules if name.startswith('{package}')]))"
)


def fresh(name: str) -> Codec:
    return Codec(schema_of(MESSAGES + name), MESSAGES + name)


def own(schema: str, name: str) -> bytes:
    """Our vector of one -20 message."""
    for line in OWN.read_text().splitlines():
        row = json.loads(line)
        if row["schema"] == schema and name in row["decoded"]:
            return bytes.fromhex(row["hex"])
    raise AssertionError(f"no vector of {name}")


# --- what is built --------------------------------------------------------------------


def test_a_set_that_is_not_used_is_not_even_imported() -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOADED.format(data=SAP_RESPONSE, package=MESSAGES)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert sorted(json.loads(told)) == [MESSAGES + "declare", MESSAGES + "sap"]


def test_only_the_types_of_the_message_are_built() -> None:
    used = fresh("dc")
    assert not used.decoders.made
    assert not used.encoders.made
    message = used.decode(own("dc", "DC_PreChargeReq"))
    read = {cls.__name__ for cls in used.decoders.made}
    assert read == {"DC_PreChargeReq", "MessageHeader", "RationalNumber"}
    assert not used.encoders.made
    used.encode(message)
    assert {cls.__name__ for cls in used.encoders.made} == read


def test_a_function_is_made_once() -> None:
    """Else each signed message would compile anew and leave its functions behind."""
    certificates = xmldsig.X509Data(
        content=[("X509SubjectName", "a"), ("X509Certificate", b"1")]
    )
    key = xmldsig.KeyInfo(
        content=[("KeyName", "k"), ("X509Data", certificates), ("#text", "free")]
    )
    message = session_stop(signature(objects=2, key=key))
    used, sizes = fresh("iso2"), set()
    for _ in range(3):
        assert used.decode(used.encode(message)) == message
        sizes.add((len(used.decoders.space), len(used.encoders.space)))
    assert len(sizes) == 1


def test_two_threads_may_build_at_the_same_time() -> None:
    """Long requests are read in a thread while the loop reads another vehicle's."""
    rows = [json.loads(line) for line in OWN.read_text().splitlines()]
    data = [bytes.fromhex(row["hex"]) for row in rows if row["schema"] == "common"]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(3):
            used = fresh("common")

            def again(order: list[bytes], used: Codec = used) -> list[bytes]:
                return [used.encode(used.decode(each)) for each in order]

            with ThreadPoolExecutor(2) as pool:
                there, back = pool.map(again, (data, data[::-1]))
            assert there == data
            assert back == data[::-1]
    finally:
        sys.setswitchinterval(before)


# --- what a message may hold ----------------------------------------------------------


@pytest.mark.parametrize(
    ("signed", "taken"),
    [
        (signature(references=128), True),
        (signature(references=129), False),
        (signature(objects=127), True),  # and one reference
        (signature(references=65, objects=64), False),
        (signature(key=xmldsig.KeyInfo(content=[("KeyName", "")] * 127)), True),
        (signature(key=xmldsig.KeyInfo(content=[("KeyName", "")] * 128)), False),
        (signature(key=xmldsig.KeyInfo(content=[("KeyName", "")] * 63 + TEXTS)), True),
        (signature(key=xmldsig.KeyInfo(content=[("KeyName", "")] * 64 + TEXTS)), False),
    ],
)
def test_a_signature_holds_128_entries_in_all(
    signed: xmldsig.Signature, taken: bool
) -> None:
    pad = bytes(2 * bits.WINDOW_BYTES)  # a short message needs no count
    signed.SignatureValue.value = pad
    data = exi.encode(session_stop(signed))
    if taken:
        assert exi.decode("iso2", data) == session_stop(signed)
    else:
        with pytest.raises(V2gError, match="with it over 128 entries without bound"):
            exi.decode("iso2", data)


@pytest.mark.parametrize(("entries", "taken"), [(1024, True), (1025, False)])
def test_din_lists_hold_1024_entries_in_all(entries: int, taken: bool) -> None:
    message = din_parameters(500, entries - 502)  # and the two sets
    data = exi.encode(message)
    if taken:
        assert exi.decode("din", data) == message
    else:
        with pytest.raises(V2gError, match="with it over 1024 entries without bound"):
            exi.decode("din", data)


@pytest.mark.parametrize("rules", [1, 8])
def test_lists_with_a_bound_are_taken_full(rules: int) -> None:
    message: Any = schedule(1024, 1024, rules)
    data = exi.encode(message)
    assert exi.decode("common", data) == message
    assert exi.encode(exi.decode("common", data)) == data


def test_entries_longer_than_a_part_are_read_whole() -> None:
    """Lists are read in parts of 512 bytes; an entry may be longer, or end anywhere."""
    power = common.RationalNumber(Exponent=0, Value=1)
    rule = common.EVPriceRule(EnergyFee=power, PowerRangeStart=power)
    message: Any = schedule(1, 1, 1)
    offer = message.Scheduled_SEReqControlMode.EVEnergyOffer
    stacks = offer.EVAbsolutePriceSchedule.EVPriceRuleStacks
    for long in range(60, 120, 9):
        stacks.EVPriceRuleStack = [
            common.EVPriceRuleStack(Duration=long**4, EVPriceRule=[rule] * count)
            for count in (8, 1, 8, 3)
        ] * (long // 4)
        data = codec("common").encode(message)
        assert exi.decode("common", data) == message
        for cut in range(bits.WINDOW_BYTES, len(data), 61):
            with pytest.raises(V2gError, match="ends too early"):
                exi.decode("common", data[:cut])
