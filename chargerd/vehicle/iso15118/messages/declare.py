"""The language in which messages are declared: the one source of truth of the codec.

One class per complex type, one field per element or attribute, in schema order:

    IDENTIFICATION = String(max=37)
    ResponseCode = Literal["OK", "FAILED"]          # schema document order
    RESPONSE_CODE = Enumeration(ResponseCode)

    class SessionSetupRes(BodyBase, namespace=BODY):
        '''What it says, with units.'''

        ResponseCode: ResponseCode = element(RESPONSE_CODE)            # 1..1
        EVSETimeStamp: int | None = element(LONG, default=None)        # 0..1
        Note: list[str] = elements(STRING, 1, 20)                      # 1..20
        More: list[str] = elements(STRING, 0, None, default_factory=list)
        Id: str | None = attribute(ID, default=None)

- Field names are the standard's names; a class is named like its type without "Type",
  first letter upper (an anonymous type: like its element). A type that extends
  another is a subclass: inherited fields come first. `namespace=` is where the class's
  own elements live (inherited when left out).
- xs:choice (once): consecutive elements with the same `choice="x"`, each with
  `default=None`; exactly one is set. `choice="x?"` may be left out altogether.
- Reference to a global element: `ref=NAMESPACE_OF_THAT_ELEMENT`. If the schema set has
  elements that substitute it, the field holds an instance of any member's class.
- Simple content with attributes: `value: bytes = content(BASE64)`.
- Content whose order must be kept or that is repeated, mixed or open (xmldsig only):
  `content: list[Item] = particles(tree)`, tree built of `one`, `any_of`, `in_order`
  and `wildcard`; an item is (element name, value), ("#text", str) in mixed content.
- Class keywords `abstract=True`, `mixed=True` say what the schema says.
- A module of a schema set ends with `SCHEMA = Schema(name, elements, types)`: every
  global element (imports too) and every complex type declared (imports too, used or
  not: the fragment grammar counts them all).

Owns no encoding: bits are exi/'s matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import (
    Any,
    Final,
    Literal,
    TypeAlias,
    dataclass_transform,
    get_args,
)

# --- simple types ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Boolean:
    """xs:boolean; Python bool."""


@dataclass(frozen=True, slots=True)
class Integer:
    """Any xs integer type; `min` and `max` inclusive, None = unbounded."""

    min: int | None = None
    max: int | None = None


@dataclass(frozen=True, slots=True)
class String:
    """xs:string and kin (anyURI, ID, IDREF); lengths in characters."""

    min: int = 0
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Hex:
    """xs:hexBinary; Python bytes; lengths in bytes; upper-case hex in JSON."""

    min: int = 0
    max: int | None = None


@dataclass(frozen=True, slots=True)
class Base64:
    """xs:base64Binary; Python bytes; lengths in bytes; base64 in JSON."""

    min: int = 0
    max: int | None = None


class Enumeration:
    """A string of a fixed list, in schema document order; made from a Literal."""

    __slots__ = ("values",)

    def __init__(self, literal: Any) -> None:
        self.values: Final[tuple[str, ...]] = get_args(literal)


Simple: TypeAlias = Boolean | Integer | String | Hex | Base64 | Enumeration

BOOLEAN = Boolean()
BYTE = Integer(-128, 127)
SHORT = Integer(-(2**15), 2**15 - 1)
INT = Integer(-(2**31), 2**31 - 1)
LONG = Integer(-(2**63), 2**63 - 1)
UNSIGNED_BYTE = Integer(0, 255)
UNSIGNED_SHORT = Integer(0, 2**16 - 1)
UNSIGNED_INT = Integer(0, 2**32 - 1)
UNSIGNED_LONG = Integer(0, 2**64 - 1)
INTEGER = Integer()
STRING = ANY_URI = ID = IDREF = String()
BASE64 = Base64()

# --- fields ---------------------------------------------------------------------------

Kind: TypeAlias = Literal["element", "attribute", "content", "particles"]
Item: TypeAlias = tuple[str, Any]


@dataclass(slots=True)
class Field:
    """One field of a class; `namespace` is the element's own (None: unqualified)."""

    kind: Kind
    type: Any  # Simple, a subclass of Complex, or a particle tree
    min: int = 1
    max: int | None = 1
    many: bool = False
    choice: str | None = None
    ref: bool = False
    name: str = ""
    namespace: str = ""

    @property
    def optional(self) -> bool:
        """Whether the Python value may be None."""
        return not self.many and (self.min == 0 or self.choice is not None)


_REQUIRED: Any = object()


def element(
    type: Any,
    *,
    default: Any = _REQUIRED,
    choice: str | None = None,
    ref: str | None = None,
) -> Any:
    """An element that occurs once, or at most once with `default=None`."""
    least = 1 if default is _REQUIRED or choice is not None else 0
    return Field(
        "element", type, least, choice=choice, ref=ref is not None, namespace=ref or ""
    )


def elements(
    type: Any,
    min: int,
    max: int | None,
    *,
    default_factory: Any = None,
    ref: str | None = None,
) -> Any:
    """An element that occurs `min` to `max` times (None: without bound); a list."""
    return Field(
        "element", type, min, max, True, ref=ref is not None, namespace=ref or ""
    )


def attribute(type: Simple, *, default: Any = _REQUIRED) -> Any:
    """An attribute; optional with `default=None`."""
    return Field("attribute", type, 1 if default is _REQUIRED else 0)


def content(type: Simple) -> Any:
    """The text of an element with simple content."""
    return Field("content", type)


def particles(tree: Particle, *, default_factory: Any = None) -> Any:
    """Content kept in order as a list of (name, value); see the module docstring."""
    return Field("particles", tree, 0, None, True)


# --- particle trees (for `particles`) -------------------------------------------------


@dataclass(frozen=True, slots=True)
class One:
    """An element; `ref` names the namespace of a global element."""

    name: str
    type: Any
    min: int = 1
    max: int | None = 1
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """xs:any; `namespace` "##any" or "##other"."""

    namespace: str
    min: int = 1
    max: int | None = 1


@dataclass(frozen=True, slots=True)
class Group:
    """xs:sequence or xs:choice over `parts`."""

    choice: bool
    parts: tuple[Particle, ...]
    min: int = 1
    max: int | None = 1


Particle: TypeAlias = One | Wildcard | Group


def one(
    name: str, type: Any, min: int = 1, max: int | None = 1, *, ref: str | None = None
) -> Particle:
    """An element in a particle tree."""
    return One(name, type, min, max, ref)


def wildcard(namespace: str, min: int = 1, max: int | None = 1) -> Particle:
    """xs:any in a particle tree."""
    return Wildcard(namespace, min, max)


def any_of(*parts: Particle, min: int = 1, max: int | None = 1) -> Particle:
    """xs:choice."""
    return Group(True, parts, min, max)


def in_order(*parts: Particle, min: int = 1, max: int | None = 1) -> Particle:
    """xs:sequence."""
    return Group(False, parts, min, max)


# --- classes --------------------------------------------------------------------------


@dataclass_transform(
    kw_only_default=True,
    eq_default=True,
    field_specifiers=(element, elements, attribute, content, particles),
)
class ComplexMeta(type):
    """Turns declared fields into slots; keeps them as `fields_` in schema order."""

    fields_: tuple[Field, ...]
    namespace_: str
    abstract_: bool
    mixed_: bool

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        body: dict[str, Any],
        *,
        namespace: str | None = None,
        abstract: bool = False,
        mixed: bool = False,
    ) -> ComplexMeta:
        inherited: tuple[Field, ...] = ()
        for base in bases:
            inherited += getattr(base, "fields_", ())
            if namespace is None:
                namespace = getattr(base, "namespace_", "")
        own = {key: item for key, item in body.items() if isinstance(item, Field)}
        for key, field in own.items():
            del body[key]
            field.name = key
            if not field.ref:
                field.namespace = namespace or ""
        body["__slots__"] = tuple(own)
        cls = super().__new__(mcs, name, bases, body)
        cls.fields_ = inherited + tuple(own.values())
        cls.namespace_ = namespace or ""
        cls.abstract_ = abstract
        cls.mixed_ = mixed
        return cls

    def __init__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **_: Any
    ) -> None:
        super().__init__(name, bases, body)


class Complex(metaclass=ComplexMeta):
    """Base of every declared class: keyword construction, equality, a plain repr."""

    def __init__(self, **values: Any) -> None:
        for field in type(self).fields_:
            name = field.name
            if name in values:
                setattr(self, name, values.pop(name))
            elif field.many and field.min == 0:
                setattr(self, name, [])
            elif field.optional:
                setattr(self, name, None)
            else:
                raise TypeError(f"{type(self).__name__}: {name} is missing")
        if values:
            raise TypeError(f"{type(self).__name__} has no {', '.join(values)}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in type(self).fields_
        )

    __hash__ = None  # type: ignore[assignment]  # messages are mutable values

    def __repr__(self) -> str:
        shown = (
            f"{field.name}={value!r}"
            for field in type(self).fields_
            if (value := getattr(self, field.name, None)) is not None
        )
        return f"{type(self).__name__}({', '.join(shown)})"


# --- schema sets ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Global:
    """A global element; `substitutes` names the head (namespace, local name)."""

    name: str
    namespace: str
    type: Any
    substitutes: tuple[str, str] | None = None
    abstract: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema set: grammars are built per set. `elements` and `types`: all, imports
    too, in any order."""

    name: str
    elements: tuple[Global, ...]
    types: tuple[type[Complex], ...]
