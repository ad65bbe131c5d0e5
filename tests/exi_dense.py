"""Messages with as many parts in their bytes as the schema, or nobody, allows.

What takes a decoder longest for its size: legal lists at their fullest, and signatures
stuffed with empty parts. Owns no judgement: tests and the bench say what is too much.
"""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118 import exi
from chargerd.vehicle.iso15118.messages import common, din, iso2, xmldsig

LONG = 10_240


def signature(
    *, references: int = 1, objects: int = 0, key: xmldsig.KeyInfo | None = None
) -> xmldsig.Signature:
    """A signature of empty parts."""
    reference = xmldsig.Reference(
        DigestMethod=xmldsig.DigestMethod(Algorithm=""), DigestValue=b""
    )
    info = xmldsig.SignedInfo(
        CanonicalizationMethod=xmldsig.CanonicalizationMethod(Algorithm=""),
        SignatureMethod=xmldsig.SignatureMethod(Algorithm=""),
        Reference=[reference] * references,
    )
    return xmldsig.Signature(
        SignedInfo=info,
        SignatureValue=xmldsig.SignatureValue(value=b""),
        KeyInfo=key,
        Object=[xmldsig.Object(content=[])] * objects,
    )


def session_stop(signed: xmldsig.Signature) -> iso2.V2G_Message:
    """A short ISO 15118-2 request with this signature."""
    return iso2.V2G_Message(
        Header=iso2.MessageHeader(SessionID=bytes(8), Signature=signed),
        Body=iso2.Body(BodyElement=iso2.SessionStopReq(ChargingSession="Terminate")),
    )


def schedule(entries: int, stacks: int, rules: int) -> common.ScheduleExchangeReq:
    """A vehicle's offer: power over time, and price rules over time."""
    power = common.RationalNumber(Exponent=0, Value=7000)
    rule = common.EVPriceRule(EnergyFee=power, PowerRangeStart=power)
    stack = common.EVPriceRuleStack(Duration=900, EVPriceRule=[rule] * rules)
    entry = common.EVPowerScheduleEntry(Duration=900, Power=power)
    offer = common.EVEnergyOffer(
        EVPowerSchedule=common.EVPowerSchedule(
            TimeAnchor=1_700_000_000,
            EVPowerScheduleEntries=common.EVPowerScheduleEntryList(
                EVPowerScheduleEntry=[entry] * entries
            ),
        ),
        EVAbsolutePriceSchedule=common.EVAbsolutePriceSchedule(
            TimeAnchor=1_700_000_000,
            Currency="EUR",
            PriceAlgorithm="urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power",
            EVPriceRuleStacks=common.EVPriceRuleStackList(
                EVPriceRuleStack=[stack] * stacks
            ),
        ),
    )
    return common.ScheduleExchangeReq(
        Header=common.MessageHeader(SessionID=bytes(8), TimeStamp=0),
        MaximumSupportingPoints=1024,
        Scheduled_SEReqControlMode=common.Scheduled_SEReqControlMode(
            EVEnergyOffer=offer
        ),
    )


def din_parameters(*counts: int) -> din.V2G_Message:
    """DIN's lists have no bound: one parameter set for each count."""
    each = din.Parameter(Name="n", ValueType="bool", boolValue=True)
    body = din.ServiceDetailRes(
        ResponseCode="OK",
        ServiceID=1,
        ServiceParameterList=din.ServiceParameterList(
            ParameterSet=[
                din.ParameterSet(ParameterSetID=1, Parameter=[each] * count)
                for count in counts
            ]
        ),
    )
    return din.V2G_Message(
        Header=din.MessageHeader(SessionID=bytes(8)), Body=din.Body(BodyElement=body)
    )


def iso2_parameters() -> iso2.V2G_Message:
    """All 255 sets of 16 nameless parameters: the densest legal message."""
    each = iso2.Parameter(Name="", boolValue=True)
    body = iso2.ServiceDetailRes(
        ResponseCode="OK",
        ServiceID=1,
        ServiceParameterList=iso2.ServiceParameterList(
            ParameterSet=[iso2.ParameterSet(ParameterSetID=1, Parameter=[each] * 16)]
            * 255
        ),
    )
    return iso2.V2G_Message(
        Header=iso2.MessageHeader(SessionID=bytes(8)), Body=iso2.Body(BodyElement=body)
    )


def tariff() -> iso2.SAScheduleList:
    """ISO 15118-2's plans with the shortest entries."""
    interval = iso2.RelativeTimeInterval(start=0)
    power = iso2.PhysicalValue(Multiplier=0, Unit="W", Value=0)
    plan = iso2.PMaxSchedule(
        PMaxScheduleEntry=[iso2.PMaxScheduleEntry(TimeInterval=interval, PMax=power)]
    )
    entry = iso2.SalesTariffEntry(TimeInterval=interval)
    return iso2.SAScheduleList(
        SAScheduleTuple=[
            iso2.SAScheduleTuple(
                SAScheduleTupleID=1,
                PMaxSchedule=plan,
                SalesTariff=iso2.SalesTariff(
                    SalesTariffID=1, SalesTariffEntry=[entry] * 1024
                ),
            )
        ]
        * 3
    )


def bombs() -> dict[str, tuple[str, bytes]]:
    """What it is -> schema set and at most 10 kB of it."""
    names = xmldsig.KeyInfo(content=[("KeyName", "")] * 1024)
    texts = xmldsig.KeyInfo(content=[("KeyName", ""), *[("#text", "")] * 1023])
    made: dict[str, Any] = {
        "empty Objects": signature(objects=1024),
        "empty References": signature(references=1024),
        "empty KeyNames": signature(key=names),
        "empty texts": signature(key=texts),
    }
    found = {name: ("iso2", exi.encode(session_stop(m))) for name, m in made.items()}
    found["DIN parameters"] = "din", exi.encode(din_parameters(*[1] * 1024))
    found["-2 parameters, all 4,335"] = "iso2", exi.encode(iso2_parameters())
    found["-2 tariffs"] = "iso2", exi.encode(tariff())
    found["-20 schedule and prices"] = "common", exi.encode(schedule(1024, 500, 1))
    return {name: (schema, data[:LONG]) for name, (schema, data) in found.items()}
