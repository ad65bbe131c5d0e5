"""The SunSpec register map of one EVSE: which point lies where, values to words.

Pure. The layouts are those of SunSpec's models 1, 701, 702, 704, 713, 714 and 715 (IEEE
1547-2018 profile), as the model files of the SunSpec Alliance have them. A point
without a value reads as "not implemented".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BASE = 40_000
Value = int | str | None
Values = Mapping[str, Value]

# Type: words, sign, and the number that means "not implemented".
_TYPES = {
    "int16": (1, True, -0x8000),
    "uint16": (1, False, 0xFFFF),
    "enum16": (1, False, 0xFFFF),
    "sunssf": (1, True, -0x8000),
    "pad": (1, True, -0x8000),
    "int32": (2, True, -0x8000_0000),
    "uint32": (2, False, 0xFFFF_FFFF),
    "bitfield16": (1, False, 0xFFFF),
    "bitfield32": (2, False, 0xFFFF_FFFF),
    "uint64": (4, False, 0xFFFF_FFFF_FFFF_FFFF),
}


def _points(text: str) -> tuple[tuple[str, str], ...]:
    """ "int16 W VA; uint16 LNV": types and the points that have them, in order."""
    found = []
    for part in text.split(";"):
        kind, *names = part.split()
        found += [(name, kind) for name in names]
    return tuple(found)


_ENERGY = "TotWhInj{0} TotWhAbs{0} TotVarhInj{0} TotVarhAbs{0}"
_PHASE = (
    "int16 WL{1} VAL{1} VarL{1} PFL{1} AL{1}; uint16 {2} VL{1}; uint64 "
    + _ENERGY.format("L{1}")
)

MODELS: dict[int, tuple[tuple[str, str], ...]] = {
    1: _points(
        "string16 Mn Md; string8 Opt Vr; string16 SN; uint16 DA; pad Pad",
    ),
    701: _points(
        "enum16 ACType St InvSt ConnSt; bitfield32 Alrm DERMode;"
        "int16 W VA Var PF A; uint16 LLV LNV; uint32 Hz; uint64 "
        + _ENERGY.format("")
        + "; int16 TmpAmb TmpCab TmpSnk TmpTrns TmpSw TmpOt;"
        + _PHASE.format("", 1, "VL1L2")
        + ";"
        + _PHASE.format("", 2, "VL2L3")
        + ";"
        + _PHASE.format("", 3, "VL3L1")
        + "; uint16 ThrotPct; bitfield32 ThrotSrc; sunssf A_SF V_SF Hz_SF W_SF PF_SF"
        " VA_SF Var_SF TotWh_SF TotVarh_SF Tmp_SF; string32 MnAlrmInfo"
    ),
    702: _points(
        "uint16 WMaxRtg WOvrExtRtg WOvrExtRtgPF WUndExtRtg WUndExtRtgPF VAMaxRtg"
        " VarMaxInjRtg VarMaxAbsRtg WChaRteMaxRtg WDisChaRteMaxRtg VAChaRteMaxRtg"
        " VADisChaRteMaxRtg VNomRtg VMaxRtg VMinRtg AMaxRtg PFOvrExtRtg PFUndExtRtg"
        " ReactSusceptRtg; enum16 NorOpCatRtg AbnOpCatRtg; bitfield32 CtrlModes;"
        "bitfield16 IntIslandCatRtg; uint16 WMax WMaxOvrExt WOvrExtPF WMaxUndExt"
        " WUndExtPF VAMax VarMaxInj VarMaxAbs WChaRteMax WDisChaRteMax VAChaRteMax"
        " VADisChaRteMax VNom VMax VMin AMax PFOvrExt PFUndExt; bitfield16"
        " IntIslandCat; sunssf W_SF PF_SF VA_SF Var_SF V_SF A_SF S_SF"
    ),
    704: _points(
        "enum16 PFWInjEna PFWInjEnaRvrt; uint32 PFWInjRvrtTms PFWInjRvrtRem;"
        "enum16 PFWAbsEna PFWAbsEnaRvrt; uint32 PFWAbsRvrtTms PFWAbsRvrtRem;"
        "enum16 WMaxLimPctEna; uint16 WMaxLimPct WMaxLimPctRvrt;"
        "enum16 WMaxLimPctEnaRvrt; uint32 WMaxLimPctRvrtTms WMaxLimPctRvrtRem;"
        "enum16 WSetEna WSetMod; int32 WSet WSetRvrt; int16 WSetPct WSetPctRvrt;"
        "enum16 WSetEnaRvrt; uint32 WSetRvrtTms WSetRvrtRem;"
        "enum16 VarSetEna VarSetMod VarSetPri; int32 VarSet VarSetRvrt;"
        "int16 VarSetPct VarSetPctRvrt; enum16 VarSetEnaRvrt;"
        "uint32 VarSetRvrtTms VarSetRvrtRem; uint16 WRmp; enum16 WRmpRef;"
        "uint16 VarRmp; enum16 AntiIslEna; sunssf PF_SF WMaxLimPct_SF WSet_SF"
        " WSetPct_SF VarSet_SF VarSetPct_SF; uint16 PFWInj_PF; enum16 PFWInj_Ext;"
        "uint16 PFWInjRvrt_PF; enum16 PFWInjRvrt_Ext; uint16 PFWAbs_PF;"
        "enum16 PFWAbs_Ext; uint16 PFWAbsRvrt_PF; enum16 PFWAbsRvrt_Ext"
    ),
    713: _points("uint16 WHRtg WHAvail SoC SoH; enum16 Sta; sunssf WH_SF Pct_SF"),
    714: _points(
        "bitfield32 PrtAlrms; uint16 NPrt; int16 DCA DCW; uint64 DCWhInj DCWhAbs;"
        "sunssf DCA_SF DCV_SF DCW_SF DCWH_SF Tmp_SF; enum16 Prt_PrtTyp;"
        "uint16 Prt_ID; string8 Prt_IDStr; int16 Prt_DCA; uint16 Prt_DCV;"
        "int16 Prt_DCW; uint64 Prt_DCWhInj Prt_DCWhAbs; int16 Prt_Tmp;"
        "enum16 Prt_DCSta; bitfield32 Prt_DCAlrm"
    ),
    715: _points(
        "enum16 LocRemCtl; uint32 DERHb ControllerHb; uint16 AlarmReset; enum16 OpCtl"
    ),
}


@dataclass(frozen=True, slots=True)
class Point:
    """Where one point lies. `name` is "704.WSet"."""

    name: str
    kind: str
    address: int
    words: int


def _width(kind: str) -> int:
    return int(kind[6:]) if kind.startswith("string") else _TYPES[kind][0]


def _layout() -> tuple[tuple[Point, ...], int]:
    """All points, and the address after the end marker. ID and L count as points."""
    found, at = [], BASE
    found.append(Point("SunS", "uint32", at, 2))
    at += 2
    for model, points in MODELS.items():
        heads = (("ID", "uint16"), ("L", "uint16"))
        for name, kind in (*heads, *points):
            words = _width(kind)
            found.append(Point(f"{model}.{name}", kind, at, words))
            at += words
    found.append(Point("end.ID", "uint16", at, 1))
    found.append(Point("end.L", "uint16", at + 1, 1))
    return tuple(found), at + 2


POINTS, END = _layout()
AT = {point.address: point for point in POINTS}
_LENGTHS = {
    model: sum(_width(kind) for _, kind in points) for model, points in MODELS.items()
}
FIXED: dict[str, Value] = {
    "SunS": 0x5375_6E53,  # "SunS"
    "end.ID": 0xFFFF,
    "end.L": 0,
    **{f"{model}.ID": model for model in MODELS},
    **{f"{model}.L": words for model, words in _LENGTHS.items()},
}


def image(values: Values) -> list[int]:
    """Every register from BASE on."""
    words: list[int] = []
    for point in POINTS:
        value = values.get(point.name)
        words += encode(point, FIXED.get(point.name) if value is None else value)
    return words


def encode(point: Point, value: Value) -> list[int]:
    """A value that does not fit reads as the nearest that does."""
    if point.kind.startswith("string"):
        text = value if isinstance(value, str) else ""
        data = text.encode("ascii", "replace")[: 2 * point.words]
        data = data.ljust(2 * point.words, b"\0")
    else:
        words, signed, nothing = _TYPES[point.kind]
        number = value if isinstance(value, int) else nothing
        if number != nothing:
            top = 1 << (16 * words - (1 if signed else 0))
            low, high = (1 - top, top - 1) if signed else (0, top - 2)
            number = min(max(number, low), high)
        data = number.to_bytes(2 * words, "big", signed=signed)
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


def decode(point: Point, words: list[int]) -> int | None:
    """The number that was written; None = "not implemented"."""
    _, signed, nothing = _TYPES[point.kind]
    data = b"".join(word.to_bytes(2, "big") for word in words)
    number = int.from_bytes(data, "big", signed=signed)
    return None if number == nothing else number
