"""Messages as XML, by their declarations: what the jar's EXIficient reads and writes.

Owns the way to XML only; the way back is the comparison of two trees.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from xml.etree import ElementTree as ET

from chargerd.vehicle.iso15118.messages.declare import (
    Base64,
    Boolean,
    Complex,
    Field,
    Group,
    Hex,
    Item,
    One,
    Particle,
    Schema,
    Simple,
    Wildcard,
)

# attributeFormDefault="unqualified" in their schemas
PLAIN_ATTRIBUTES = ("urn:din:70121:2012:", "http://www.w3.org/2000/09/xmldsig#")
# elementFormDefault="unqualified" in the jar's copy (ISO 15118-2's); the -20 copy says
# qualified, and the bytes of a document are the same
PLAIN_ELEMENTS = "urn:iso:15118:2:2010:AppProtocol"


class ToXml:
    """Writes values of one schema set."""

    def __init__(self, schema: Schema) -> None:
        self._heads = {(e.namespace, e.name): e for e in schema.elements}
        self._members: dict[tuple[str, str], dict[type, tuple[str, str]]] = {}
        for each in schema.elements:
            head: tuple[str, str] | None = (each.namespace, each.name)
            while head is not None:
                members = self._members.setdefault(head, {})
                members[each.type] = (each.namespace, each.name)
                head = self._heads[head].substitutes

    def element(self, namespace: str, name: str, type_: Any, value: Any) -> ET.Element:
        """One element with all that is in it."""
        node = ET.Element(f"{{{namespace}}}{name}" if namespace else name)
        if isinstance(value, Complex):
            self._fill(node, value)
        else:
            node.text = text(type_, value)
        return node

    def _fill(self, node: ET.Element, value: Complex) -> None:
        for field in type(value).fields_:
            held = getattr(value, field.name)
            if held is None:
                continue
            if field.kind == "attribute":
                node.set(self._attribute(field), text(field.type, held))
            elif field.kind == "content":
                node.text = text(field.type, held)
            elif field.kind == "particles":
                self._items(node, field, held, type(value).namespace_)
            else:
                for each in held if field.many else [held]:
                    node.append(self._child(field, each))

    def _attribute(self, field: Field) -> str:
        if not field.namespace or field.namespace.startswith(PLAIN_ATTRIBUTES):
            return field.name
        return f"{{{field.namespace}}}{field.name}"

    def _child(self, field: Field, value: Any) -> ET.Element:
        namespace, name = field.namespace, field.name
        if field.ref:
            members = self._members.get((namespace, name), {})
            namespace, name = members.get(type(value), (namespace, name))
        elif namespace == PLAIN_ELEMENTS:
            namespace = ""
        return self.element(namespace, name, field.type, value)

    def _items(
        self, node: ET.Element, field: Field, items: list[Item], namespace: str
    ) -> None:
        known = {part.name: part for part in ones(field.type)}
        last: ET.Element | None = None
        for name, value in items:
            if name == "#text":
                if last is None:
                    node.text = (node.text or "") + value
                else:
                    last.tail = (last.tail or "") + value
                continue
            part = known[name]
            last = self.element(part.ref or namespace, name, part.type, value)
            node.append(last)


def ones(part: Particle) -> list[One]:
    """Every element of a particle tree."""
    match part:
        case One():
            return [part]
        case Wildcard():
            return []
        case Group():
            return [one for each in part.parts for one in ones(each)]


def text(type_: Simple, value: Any) -> str:
    """The lexical form of a simple value."""
    match type_:
        case Boolean():
            return "true" if value else "false"
        case Hex():
            return str(value.hex().upper())
        case Base64():
            return b64encode(value).decode()
    return str(value)


def write(schema: Schema, namespace: str, name: str, value: Any) -> str:
    """A whole document (or fragment: one element) as text."""
    type_ = None if isinstance(value, Complex) else value
    node = ToXml(schema).element(namespace, name, type_, value)
    return ET.tostring(node, encoding="unicode")


def shape(xml: str) -> Any:
    """A document as nested tuples, equal for equal documents."""
    return _shape(ET.fromstring(xml))  # noqa: S314 - our own or the jar's output


def _shape(node: ET.Element) -> Any:
    children = [_shape(child) for child in node]
    words = (node.text or "") if children else (node.text or "").strip()
    return (node.tag, dict(node.attrib), words.strip(), children)
