"""Fragments of an element whose name is declared with several types (EXI 1.0, 8.5.3).

In the V2G schema sets that is one: ISO 15118-2's eMAID, which CertificateInstallation
and CertificateUpdate sign. Without a parent its type is open, so its events are counted
over every attribute and element of the schema set. Only text with attributes is known
here; nothing else is ever signed this way.
"""

from __future__ import annotations

from typing import Any

from chargerd.vehicle.iso15118.exi.bits import bad, read_string, write_string
from chargerd.vehicle.iso15118.exi.grammar import Grammar
from chargerd.vehicle.iso15118.messages.declare import Complex, Field, String


class Relaxed:
    """Reads and writes the content of one such element as class `cls`."""

    def __init__(self, grammar: Grammar, cls: type[Complex]) -> None:
        self.cls = cls
        self.attributes: dict[int, Field] = {}
        known = grammar.attributes
        for field in cls.fields_:
            if field.kind == "attribute":
                self.attributes[known.index((field.name, field.namespace))] = field
            elif field.kind == "content" and isinstance(field.type, String):
                self.content = field
            else:
                raise bad(cls.__name__, "only text with attributes is signed so")
        elements = len(grammar.fragments)
        self.first_end = len(known) + elements + 2
        self.first_width = (self.first_end + 2).bit_length()
        self.end = elements + 1
        self.width = (self.end + 2).bit_length()

    def encode(self, v: int, value: Any, out: list[bytes]) -> int:
        """Attributes in order, the text, the end."""
        for code in sorted(self.attributes):
            field = self.attributes[code]
            text = getattr(value, field.name)
            if text is None and not field.min:
                continue
            v = self.text(v << self.first_width | code, text, field)
        code = self.first_end + 1
        text = getattr(value, self.content.name)
        v = self.text(v << self.first_width | code, text, self.content)
        return v << self.width | self.end

    def text(self, v: int, text: str, field: Field) -> int:
        """A string within the facets of its field."""
        return write_string(v, text, field.type.min, field.type.max)

    def decode(self, v: Any, p: int) -> tuple[Any, int]:
        """The same, read; attributes may come in any order, each once."""
        where = self.cls.__name__
        values: dict[str, Any] = {}
        while True:
            p -= self.first_width
            code = v >> p & ((1 << self.first_width) - 1)
            field = self.attributes.get(code)
            if code == self.first_end + 1:
                field = self.content
            if field is None or field.name in values:
                raise bad(where, "an event out of place")
            kind = field.type
            p -= 8
            values[field.name], p = read_string(
                v, p, v >> p & 255, kind.min, kind.max, where
            )
            if field is self.content:
                break
        p -= self.width
        if v >> p & ((1 << self.width) - 1) != self.end:
            raise bad(where, "an event out of place")
        try:
            return self.cls(**values), p
        except TypeError as fault:
            raise bad(where, str(fault)) from fault
