"""Reads the V2G XSDs that come inside the PyPI wheel `iso15118`, as plain values.

Owns the wheel's place and the reading of the few XSD constructs those files use; any
other construct is an error, so nothing is overlooked. Knows nothing of our own
declarations: it is the witness they are compared with. The XSDs never enter the
repository.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

XS = "http://www.w3.org/2001/XMLSchema"
_XS = f"{{{XS}}}"
ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "out" / "interop" / "iso15118-venv"
WHEEL = "iso15118==0.31.2"

# Schema set -> the file that a message of the set is valid against (imports follow).
ENTRY = {
    "sap": "V2G_CI_AppProtocol.xsd",
    "xmldsig": "xmldsig-core-schema.xsd",
    "din": "din_spec/V2G_CI_MsgDef.xsd",
    "iso2": "iso15118_2/V2G_CI_MsgDef.xsd",
    "common": "iso15118_20/V2G_CI_CommonMessages.xsd",
    "ac": "iso15118_20/V2G_CI_AC.xsd",
    "dc": "iso15118_20/V2G_CI_DC.xsd",
    "acdp": "iso15118_20/V2G_CI_ACDP.xsd",
    "wpt": "iso15118_20/V2G_CI_WPT.xsd",
}
# V2G_CI_MsgDef.xsd of DIN and -2 does not import every file of its own standard.
ALSO = {
    "din": ("din_spec/V2G_CI_MsgBody.xsd", "din_spec/V2G_CI_MsgDataTypes.xsd"),
}

QName = tuple[str, str]  # (namespace, local name)

_INTEGERS: dict[str, tuple[int | None, int | None]] = {
    "integer": (None, None),
    "long": (-(2**63), 2**63 - 1),
    "int": (-(2**31), 2**31 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-128, 127),
    "unsignedLong": (0, 2**64 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedByte": (0, 255),
}
_STRINGS = {"string", "anyURI", "ID", "IDREF"}
_BINARY = {"hexBinary", "base64Binary"}


class XsdError(Exception):
    """An XSD holds a construct that this reader does not know."""


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple type with its restrictions resolved down to the built-in type."""

    name: QName
    builtin: str  # "string", "short", "hexBinary", "boolean", ...
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    min_length: int = 0
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    name: QName
    type: Simple
    required: bool


@dataclass(frozen=True, slots=True)
class Particle:
    """kind: element | any | sequence | choice. maximum None = unbounded."""

    kind: str
    minimum: int = 1
    maximum: int | None = 1
    element: QName = ("", "")  # elements: the name
    type: QName = ("", "")  # elements: complex or simple type
    ref: bool = False  # elements: refers to a global one
    namespace: str = ""  # any: ##any | ##other
    parts: tuple[Particle, ...] = ()  # sequence, choice


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex type; `content` and `attributes` without what the base has."""

    name: QName
    base: QName | None = None
    abstract: bool = False
    mixed: bool = False
    anonymous: bool = False
    simple: QName | None = None  # simple content: the type of the value
    attributes: tuple[Attribute, ...] = ()
    content: Particle | None = None


@dataclass(frozen=True, slots=True)
class Global:
    """A global element."""

    name: QName
    type: QName
    abstract: bool = False
    head: QName | None = None  # substitution group


@dataclass(slots=True)
class SchemaSet:
    """All files of one schema set; dicts in document order, imported files first."""

    simple: dict[QName, Simple] = field(default_factory=dict)
    complex: dict[QName, Complex] = field(default_factory=dict)
    elements: dict[QName, Global] = field(default_factory=dict)

    def is_simple(self, name: QName) -> bool:
        return name[0] == XS or name in self.simple

    def simple_of(self, name: QName) -> Simple:
        return _builtin(name[1]) if name[0] == XS else self.simple[name]

    def chain(self, name: QName) -> list[Complex]:
        """The type and its bases, the most basic first."""
        found = [self.complex[name]]
        while (base := found[0].base) is not None:
            found.insert(0, self.complex[base])
        return found

    def members(self, head: QName) -> list[QName]:
        """Every element that may stand where `head` is called for, `head` included."""
        found = [head]
        for name, element in self.elements.items():
            if element.head == head:
                found += self.members(name)
        return found

    def element_names(self) -> set[QName]:
        """Every qname of an element declared anywhere (fragments), wildcards aside."""
        local = {
            part.element
            for kind in self.complex.values()
            if kind.content
            for part in walk(kind.content)
            if part.kind == "element"
        }
        return local | set(self.elements)


def walk(particle: Particle) -> Iterator[Particle]:
    yield particle
    for part in particle.parts:
        yield from walk(part)


def schema_folder() -> Path | None:
    """Where the XSDs of the installed wheel are; None where it is not installed."""
    found = sorted(VENV.glob("lib/python3*/site-packages/iso15118/shared/schemas"))
    return found[0] if found else None


def read(name: str, folder: Path) -> SchemaSet:
    """The schema set called `name` (see ENTRY) with everything it imports."""
    schemas = SchemaSet()
    seen: set[Path] = set()
    for entry in (ENTRY[name], *ALSO.get(name, ())):
        _File(folder / entry, folder, schemas, seen)
    _resolve(schemas)
    return schemas


def _builtin(name: str) -> Simple:
    known = name in _STRINGS or name in _BINARY or name == "boolean"
    if not known and name not in _INTEGERS:
        raise XsdError(f"built-in type xs:{name} is not known")
    low, high = _INTEGERS.get(name, (None, None))
    return Simple((XS, name), name, minimum=low, maximum=high)


class _File:
    """One XSD file, read into `into`."""

    def __init__(
        self, path: Path, folder: Path, into: SchemaSet, seen: set[Path]
    ) -> None:
        path = path if path.is_file() else folder / path.name
        if path.resolve() in seen:
            return
        seen.add(path.resolve())
        events = ET.iterparse(path, ("start", "start-ns"))  # noqa: S314  the wheel's own
        self.prefixes: dict[str, str] = {}
        root: ET.Element | None = None
        for event, item in events:
            if event == "start-ns":
                self.prefixes[item[0]] = item[1]
            elif root is None:
                root = item
        if root is None:
            raise XsdError(f"{path.name} is empty")
        self.into = into
        self.target = root.get("targetNamespace", "")
        # The wheel has the -2 copy of AppProtocol; the -20 copy, which is what goes
        # over the wire in both editions, has qualified names.
        qualified = path.name == ENTRY["sap"]
        self.local = qualified or root.get("elementFormDefault") == "qualified"
        self.local_attribute = root.get("attributeFormDefault") == "qualified"
        for child in root:
            if child.tag == _XS + "import":
                place = path.parent / child.get("schemaLocation", "")
                _File(place, folder, into, seen)
        for child in root:
            self._top(child)

    def _top(self, node: ET.Element) -> None:
        kind, name = node.tag.removeprefix(_XS), (self.target, node.get("name", ""))
        if kind == "element":
            head = node.get("substitutionGroup")
            self.into.elements[name] = Global(
                name,
                self._element_type(node, name),
                node.get("abstract") == "true",
                self._qname(head) if head else None,
            )
        elif kind == "complexType":
            self._complex(node, name)
        elif kind == "simpleType":
            self.into.simple[name] = self._simple(node, name)
        elif kind not in ("import", "annotation"):
            raise XsdError(f"top level {kind} is not known")

    def _qname(self, text: str) -> QName:
        prefix, _, local = text.rpartition(":")
        return (self.prefixes.get(prefix, ""), local)

    def _element_type(self, node: ET.Element, name: QName) -> QName:
        if (named := node.get("type")) is not None:
            return self._qname(named)
        inner = node[0]
        anonymous = (name[0], name[1] + "Type")
        if inner.tag == _XS + "complexType":
            self._complex(inner, anonymous, anonymous=True)
        elif inner.tag == _XS + "simpleType":
            self.into.simple[anonymous] = self._simple(inner, anonymous)
        else:
            raise XsdError(f"element {name[1]} has no type")
        return anonymous

    def _simple(self, node: ET.Element, name: QName) -> Simple:
        """As written; `builtin` still names the base in Clark notation."""
        restriction = node.find(_XS + "restriction")
        if restriction is None:
            raise XsdError(f"simple type {name[1]} is no restriction")
        base = self._qname(restriction.get("base", ""))
        simple = Simple(name, f"{{{base[0]}}}{base[1]}")
        for facet in restriction:
            kind, value = facet.tag.removeprefix(_XS), facet.get("value", "")
            if kind == "enumeration":
                simple = replace(simple, enum=(*simple.enum, value))
            elif kind == "minInclusive":
                simple = replace(simple, minimum=int(value))
            elif kind == "maxInclusive":
                simple = replace(simple, maximum=int(value))
            elif kind == "minLength":
                simple = replace(simple, min_length=int(value))
            elif kind == "maxLength":
                simple = replace(simple, max_length=int(value))
            elif kind == "length":
                simple = replace(simple, min_length=int(value), max_length=int(value))
            else:
                raise XsdError(f"facet {kind} of {name[1]} is not known")
        return simple

    def _complex(self, node: ET.Element, name: QName, anonymous: bool = False) -> None:
        base: QName | None = None
        simple: QName | None = None
        holder = node
        if len(node) and node[0].tag in (_XS + "complexContent", _XS + "simpleContent"):
            holder = node[0][0]
            if holder.tag != _XS + "extension":
                raise XsdError(f"{name[1]} does not extend its base")
            base = self._qname(holder.get("base", ""))
            if node[0].tag == _XS + "simpleContent":
                simple, base = base, None
        attributes: list[Attribute] = []
        content: Particle | None = None
        for child in holder:
            kind = child.tag.removeprefix(_XS)
            if kind == "attribute":
                attributes.append(self._attribute(child))
            elif kind in ("sequence", "choice"):
                content = self._particle(child)
            else:
                raise XsdError(f"{kind} in type {name[1]} is not known")
        self.into.complex[name] = Complex(
            name,
            base,
            node.get("abstract") == "true",
            node.get("mixed") == "true",
            anonymous,
            simple,
            tuple(attributes),
            content,
        )

    def _attribute(self, node: ET.Element) -> Attribute:
        namespace = self.target if self.local_attribute else ""
        kind = self._qname(node.get("type", ""))
        pending = Simple(kind, f"{{{kind[0]}}}{kind[1]}")
        required = node.get("use") == "required"
        return Attribute((namespace, node.get("name", "")), pending, required)

    def _particle(self, node: ET.Element) -> Particle:
        kind = node.tag.removeprefix(_XS)
        maximum = node.get("maxOccurs", "1")
        particle = Particle(
            kind,
            int(node.get("minOccurs", "1")),
            None if maximum == "unbounded" else int(maximum),
        )
        if kind == "any":
            return replace(particle, namespace=node.get("namespace", "##any"))
        if kind in ("sequence", "choice"):
            return replace(particle, parts=tuple(self._particle(n) for n in node))
        if kind != "element":
            raise XsdError(f"particle {kind} is not known")
        if (ref := node.get("ref")) is not None:
            return replace(particle, element=self._qname(ref), ref=True)
        name = (self.target if self.local else "", node.get("name", ""))
        return replace(particle, element=name, type=self._element_type(node, name))


def _resolve(schemas: SchemaSet) -> None:
    """Simple types down to their built-in type; refs to the type of what they name."""
    for name in schemas.simple:
        schemas.simple[name] = _resolved(schemas.simple[name], schemas)
    for name, kind in schemas.complex.items():
        attributes = tuple(
            replace(item, type=schemas.simple_of(item.type.name))
            for item in kind.attributes
        )
        content = _with_types(kind.content, schemas) if kind.content else None
        schemas.complex[name] = replace(kind, attributes=attributes, content=content)


def _resolved(simple: Simple, schemas: SchemaSet) -> Simple:
    if not simple.builtin.startswith("{"):
        return simple
    namespace, _, local = simple.builtin[1:].partition("}")
    base = (
        _builtin(local)
        if namespace == XS
        else _resolved(schemas.simple[namespace, local], schemas)
    )
    return replace(
        simple,
        builtin=base.builtin,
        enum=simple.enum or base.enum,
        minimum=base.minimum if simple.minimum is None else simple.minimum,
        maximum=base.maximum if simple.maximum is None else simple.maximum,
        min_length=simple.min_length or base.min_length,
        max_length=base.max_length if simple.max_length is None else simple.max_length,
    )


def _with_types(particle: Particle, schemas: SchemaSet) -> Particle:
    if particle.kind == "element" and particle.ref:
        return replace(particle, type=schemas.elements[particle.element].type)
    parts = tuple(_with_types(part, schemas) for part in particle.parts)
    return replace(particle, parts=parts)
