"""Writes the declarations in chargerd/vehicle/iso15118/messages from the wheel's XSDs.

    python -m tests.interop.exi_generate            writes every module but sap.py
    python -m tests.interop.exi_generate --check    says whether they are up to date

Owns the text of the generated modules: names, order, docstrings (exi_words.py has the
words). What is declared is the standard's; the XSDs themselves stay in the wheel.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop import exi_words
from tests.interop.exi_xsd import (
    ROOT,
    WHEEL,
    XS,
    Attribute,
    Complex,
    Particle,
    QName,
    SchemaSet,
    Simple,
    read,
    schema_folder,
    walk,
)

PACKAGE = "chargerd.vehicle.iso15118.messages"
FOLDER = ROOT / "chargerd" / "vehicle" / "iso15118" / "messages"

# Namespace -> the constant that names it, and the module that declares its types.
NAMESPACES = {
    "http://www.w3.org/2000/09/xmldsig#": ("XMLDSIG", "xmldsig"),
    "urn:din:70121:2012:MsgDataTypes": ("DATA_TYPES", "din"),
    "urn:din:70121:2012:MsgHeader": ("HEADER", "din"),
    "urn:din:70121:2012:MsgBody": ("BODY", "din"),
    "urn:din:70121:2012:MsgDef": ("DEF", "din"),
    "urn:iso:15118:2:2013:MsgDataTypes": ("DATA_TYPES", "iso2"),
    "urn:iso:15118:2:2013:MsgHeader": ("HEADER", "iso2"),
    "urn:iso:15118:2:2013:MsgBody": ("BODY", "iso2"),
    "urn:iso:15118:2:2013:MsgDef": ("DEF", "iso2"),
    "urn:iso:std:iso:15118:-20:CommonTypes": ("COMMON_TYPES", "common_types"),
    "urn:iso:std:iso:15118:-20:CommonMessages": ("COMMON_MESSAGES", "common"),
    "urn:iso:std:iso:15118:-20:AC": ("AC", "ac"),
    "urn:iso:std:iso:15118:-20:DC": ("DC", "dc"),
    "urn:iso:std:iso:15118:-20:ACDP": ("ACDP", "acdp"),
    "urn:iso:std:iso:15118:-20:WPT": ("WPT", "wpt"),
}
# Module -> the schema set it is read from, and whether it ends with a SCHEMA.
MODULES = {
    "xmldsig": ("xmldsig", True),
    "common_types": ("common", False),
    "din": ("din", True),
    "iso2": ("iso2", True),
    "common": ("common", True),
    "ac": ("ac", True),
    "dc": ("dc", True),
    "acdp": ("acdp", True),
    "wpt": ("wpt", True),
}
_BUILTIN = {
    "boolean": "BOOLEAN",
    "integer": "INTEGER",
    "long": "LONG",
    "int": "INT",
    "short": "SHORT",
    "byte": "BYTE",
    "unsignedLong": "UNSIGNED_LONG",
    "unsignedInt": "UNSIGNED_INT",
    "unsignedShort": "UNSIGNED_SHORT",
    "unsignedByte": "UNSIGNED_BYTE",
    "string": "STRING",
    "anyURI": "ANY_URI",
    "ID": "ID",
    "IDREF": "IDREF",
    "base64Binary": "BASE64",
}
_INTEGER = {"long", "int", "short", "byte", "integer"}


def class_name(name: QName) -> str:
    """CurrentDemandReqType -> CurrentDemandReq: as the messages are spoken of."""
    short = name[1].removesuffix("Type")
    return short[0].upper() + short[1:]


def constant_name(name: QName) -> str:
    """sessionIDType -> SESSION_ID."""
    short = re.sub(r"[Tt]ype$", "", name[1])
    short = exi_words.CONSTANTS.get(short, short)
    short = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", short)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", short).upper()


def literal_name(name: QName) -> str:
    """responseCodeType -> ResponseCode."""
    short = re.sub(r"[Tt]ype$", "", name[1])
    return short[0].upper() + short[1:]


@dataclass(slots=True)
class Module:
    """One module while it is written: its text, and what it has to import."""

    name: str
    schemas: SchemaSet
    lines: list[str] = field(default_factory=list)
    imports: dict[str, set[str]] = field(default_factory=dict)
    types: list[str] = field(default_factory=list)
    done: set[QName] = field(default_factory=set)

    def need(self, module: str, name: str) -> str:
        if module != self.name:
            self.imports.setdefault(module, set()).add(name)
        return name

    def word(self, name: str) -> str:
        """A word of the declaration language."""
        return self.need("declare", name)

    def namespace(self, uri: str) -> str:
        constant, module = NAMESPACES[uri]
        return self.need(module, constant)

    def home(self, name: QName) -> str:
        return NAMESPACES[name[0]][1]


# --- simple types ---------------------------------------------------------------------


def simple_constant(module: Module, name: QName) -> str:
    """The constant that stands for a simple type; declares it here if it is ours."""
    if name[0] == XS:
        return module.word(_BUILTIN[name[1]])
    if module.home(name) != module.name:
        return module.need(module.home(name), constant_name(name))
    if name not in module.done:
        module.done.add(name)
        declare_simple(module, module.schemas.simple[name])
    return constant_name(name)


def declare_simple(module: Module, simple: Simple) -> None:
    constant = constant_name(simple.name)
    if simple.enum:
        module.imports.setdefault("typing", set()).add("Literal")
        values = ", ".join(f'"{value}"' for value in simple.enum)
        literal = literal_name(simple.name)
        module.lines.append(f"{literal} = Literal[{values}]")
        module.lines.append(f"{constant} = {module.word('Enumeration')}({literal})")
        return
    module.lines.append(f"{constant} = {simple_expression(module, simple)}")


def simple_expression(module: Module, simple: Simple) -> str:
    kind = simple.builtin
    if kind == "boolean":
        return module.word("BOOLEAN")
    if kind in _INTEGER or kind.startswith("unsigned"):
        same = module.schemas.simple_of((XS, kind))
        if (same.minimum, same.maximum) == (simple.minimum, simple.maximum):
            return module.word(_BUILTIN[kind])
        return f"{module.word('Integer')}({simple.minimum}, {simple.maximum})"
    bounds = [f"min={simple.min_length}"] if simple.min_length else []
    bounds += [] if simple.max_length is None else [f"max={simple.max_length}"]
    words = {"hexBinary": "Hex", "base64Binary": "Base64"}
    if not bounds and kind in _BUILTIN:
        return module.word(_BUILTIN[kind])
    return f"{module.word(words.get(kind, 'String'))}({', '.join(bounds)})"


def python_type(module: Module, name: QName) -> str:
    """What a value of the type is in Python."""
    if not module.schemas.is_simple(name):
        return module.need(module.home(name), class_name(name))
    simple = module.schemas.simple_of(name)
    if simple.enum:
        return module.need(module.home(name), literal_name(name))
    if simple.builtin == "boolean":
        return "bool"
    if simple.builtin in ("hexBinary", "base64Binary"):
        return "bytes"
    return "int" if simple.minimum is not None or "nteger" in simple.builtin else "str"


# --- complex types --------------------------------------------------------------------


def type_expression(module: Module, name: QName) -> str:
    if module.schemas.is_simple(name):
        return simple_constant(module, name)
    return module.need(module.home(name), class_name(name))


def declare(module: Module, name: QName) -> None:
    """The class of a complex type, after everything it is made of."""
    if name in module.done or module.home(name) != module.name:
        return
    module.done.add(name)
    kind = module.schemas.complex[name]
    if kind.base:
        declare(module, kind.base)
    used = [item.type.name for item in kind.attributes]
    used += [kind.simple] if kind.simple else []
    if kind.content:
        used += [p.type for p in walk(kind.content) if p.kind == "element"]
    for other in used:
        if module.schemas.is_simple(other):
            simple_constant(module, other)
        else:
            declare(module, other)
    lines = class_lines(module, kind)
    module.lines += ["", "", *lines, "", ""]
    module.types.append(class_name(name))


def class_lines(module: Module, kind: Complex) -> list[str]:
    base = module.word("Complex")
    if kind.base:
        base = module.need(module.home(kind.base), class_name(kind.base))
    arguments = [base]
    if kind.base is None or kind.base[0] != kind.name[0]:
        arguments.append(f"namespace={module.namespace(kind.name[0])}")
    arguments += ["abstract=True"] if kind.abstract else []
    arguments += ["mixed=True"] if kind.mixed else []
    fields = [attribute_line(module, item) for item in kind.attributes]
    if kind.simple:
        annotation = python_type(module, kind.simple)
        value = f"{module.word('content')}({type_expression(module, kind.simple)})"
        fields.append(f"value: {annotation} = {value}")
    aliases: list[str] = []
    if kind.content:
        if flat(kind):
            aliases = shadowed(module, kind)
            fields += element_lines(module, kind.content, aliases)
        elif kind.content.parts:
            fields.append(particles_line(module, kind.content))
    head = [f"{alias}Type = {alias}" for alias in aliases]
    head = ["# a field of the same name hides it below", *head, "", ""] if head else []
    head.append(f"class {class_name(kind.name)}({', '.join(arguments)}):")
    body = docstring(module, kind)
    body += ["", *fields] if fields else []
    return head + textwrap.indent("\n".join(body), "    ").splitlines()


def twins(schemas: SchemaSet) -> dict[QName, str]:
    """Global elements whose type another one has, too -> a class of their own.

    A message tells by its class which element it is.
    """
    seen: set[QName] = set()
    found: dict[QName, str] = {}
    for name, element in schemas.elements.items():
        if element.type in seen and not schemas.is_simple(element.type):
            found[name] = class_name(name)
        seen.add(element.type)
    return found


def twin_lines(module: Module) -> list[str]:
    found: list[str] = []
    for name, twin in twins(module.schemas).items():
        if module.home(name) == module.name:
            first = class_name(module.schemas.elements[name].type)
            text = exi_words.about(module.name, twin)
            found += ["", "", f"class {twin}({first}):", f'    """{text}"""', "", ""]
    return found


def shadowed(module: Module, kind: Complex) -> list[str]:
    """Classes used below a field of the same name, which would hide them."""
    seen: set[str] = set()
    found: list[str] = []
    for part in walk(kind.content) if kind.content else ():
        if part.kind == "element":
            if not module.schemas.is_simple(part.type):
                name = class_name(part.type)
                found += [name] if name in seen else []
            seen.add(part.element[1])
    return found


def attribute_line(module: Module, item: Attribute) -> str:
    name, kind = item.name[1], item.type.name
    constant, annotation = type_expression(module, kind), python_type(module, kind)
    word = module.word("attribute")
    if item.required:
        return f"{name}: {annotation} = {word}({constant})"
    return f"{name}: {annotation} | None = {word}({constant}, default=None)"


def flat(kind: Complex) -> bool:
    """Whether named fields say it all: a sequence of elements and simple choices."""
    content = kind.content
    if content is None or kind.mixed:
        return False
    if content.kind == "choice":
        return _choice(content)
    return (content.minimum, content.maximum) == (1, 1) and all(
        part.kind == "element" or _choice(part) for part in content.parts
    )


def _choice(part: Particle) -> bool:
    return (
        part.kind == "choice"
        and part.maximum == 1
        and all(
            option.kind == "element" and (option.minimum, option.maximum) == (1, 1)
            for option in part.parts
        )
    )


def element_lines(module: Module, content: Particle, aliases: list[str]) -> list[str]:
    found: list[str] = []
    for part in (content,) if content.kind == "choice" else content.parts:
        if part.kind == "element":
            found.append(element_line(module, part, "", aliases))
            continue
        group = exi_words.choice_name([option.element[1] for option in part.parts])
        group += "" if part.minimum else "?"
        found += [element_line(module, p, group, aliases) for p in part.parts]
    return found


def element_line(module: Module, part: Particle, group: str, aliases: list[str]) -> str:
    constant = type_expression(module, part.type)
    annotation = python_type(module, part.type)
    if annotation in aliases and part.element[1] != annotation:
        constant = annotation = f"{annotation}Type"
    arguments = [constant]
    many = part.maximum != 1
    if many:
        arguments += [str(part.minimum), str(part.maximum)]
        arguments += ["default_factory=list"] if part.minimum == 0 else []
        annotation = f"list[{annotation}]"
    elif group or part.minimum == 0:
        arguments.append("default=None")
        annotation += " | None"
    arguments += [f'choice="{group}"'] if group else []
    arguments += [f"ref={module.namespace(part.element[0])}"] if part.ref else []
    word = module.word("elements" if many else "element")
    return f"{part.element[1]}: {annotation} = {word}({', '.join(arguments)})"


def particles_line(module: Module, content: Particle) -> str:
    tree = tree_expression(module, content)
    word, item = module.word("particles"), module.word("Item")
    return f"content: list[{item}] = {word}({tree}, default_factory=list)"


def tree_expression(module: Module, part: Particle) -> str:
    bounds = [str(part.minimum), str(part.maximum)]
    bounds = [] if bounds == ["1", "1"] else bounds
    if part.kind == "any":
        arguments = [repr(part.namespace), *bounds]
        return f"{module.word('wildcard')}({', '.join(arguments)})"
    if part.kind == "element":
        arguments = [repr(part.element[1]), type_expression(module, part.type), *bounds]
        arguments += [f"ref={module.namespace(part.element[0])}"] if part.ref else []
        return f"{module.word('one')}({', '.join(arguments)})"
    inner = [tree_expression(module, child) for child in part.parts]
    inner += [f"min={bounds[0]}, max={bounds[1]}"] if bounds else []
    word = module.word("any_of" if part.kind == "choice" else "in_order")
    return f"{word}({', '.join(inner)})"


# --- docstrings -----------------------------------------------------------------------


def docstring(module: Module, kind: Complex) -> list[str]:
    """What the type is, then the units of its own fields."""
    text = exi_words.about(module.name, class_name(kind.name))
    own = [
        (part.element[1], part.type[1])
        for part in (walk(kind.content) if kind.content else ())
        if part.kind == "element"
    ]
    units = exi_words.units(module.name, own)
    first = textwrap.wrap(text, 78)
    rest = [line for unit in units for line in textwrap.wrap(unit, 80)]
    if not rest and len(first) == 1:
        return [f'"""{first[0]}"""']
    lines = [f'"""{first[0]}', *first[1:]]
    lines += ["", *rest] if rest else []
    return [*lines, '"""']


# --- modules --------------------------------------------------------------------------


def schema_lines(module: Module) -> list[str]:
    """TYPES and SCHEMA: everything the set declares, imports included."""
    globals_ = [f"{module.word('Global')}({text})" for text in global_arguments(module)]
    types = [
        module.need(module.home(name), class_name(name))
        for name in module.schemas.complex
    ]
    schema = module.word("Schema")
    return [
        "",
        "",
        f'SCHEMA = {schema}("{module.name}", ({", ".join(globals_)},),'
        f" ({', '.join(types)},),)",
    ]


def global_arguments(module: Module) -> list[str]:
    found: list[str] = []
    own_class = twins(module.schemas)
    for element in module.schemas.elements.values():
        space = module.namespace(element.name[0])
        arguments = [f'"{element.name[1]}"', space]
        kind = own_class.get(element.name) or type_expression(module, element.type)
        arguments.append(kind)
        if element.head:
            head = f'({module.namespace(element.head[0])}, "{element.head[1]}")'
            arguments.append(f"substitutes={head}")
        arguments += ["abstract=True"] if element.abstract else []
        found.append(", ".join(arguments))
    return found


def write_module(name: str, schemas: SchemaSet, complete: bool) -> str:
    module = Module(name, schemas)
    for uri, (constant, home) in NAMESPACES.items():
        if home == name:
            module.lines.append(f'{constant} = "{uri}"')
    module.lines.append("")
    for simple in schemas.simple:
        if module.home(simple) == name:
            simple_constant(module, simple)
    for kind in schemas.complex:
        declare(module, kind)
    module.lines += twin_lines(module)
    if complete:
        module.lines += schema_lines(module)
    imports = [
        f"from {source if source == 'typing' else f'{PACKAGE}.{source}'}"
        f" import {', '.join(sorted(names))}"
        for source, names in sorted(module.imports.items())
    ]
    return "\n".join(
        [
            f"# generated by tests/interop/exi_generate.py from the XSDs of {WHEEL}",
            *[f'"""{exi_words.MODULES[name]}', '"""'],
            "from __future__ import annotations",
            *imports,
            "",
            *module.lines,
            "",
        ]
    )


def formatted(name: str, source: str) -> str:
    """Sorted imports and the house's layout."""
    ruff = str(Path(sys.executable).parent / "ruff")
    place = ["--quiet", "--stdin-filename", str(FOLDER / f"{name}.py"), "-"]
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        done = subprocess.run(
            [ruff, *command, *place],
            input=source,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            timeout=60,
        )
        source = done.stdout
    return source


def generate(folder: Path) -> dict[str, str]:
    """Module name -> its text, from the XSDs in `folder`."""
    sets = {source: read(source, folder) for source, _ in MODULES.values()}
    return {
        name: formatted(name, write_module(name, sets[source], complete))
        for name, (source, complete) in MODULES.items()
    }


def main() -> int:
    folder = schema_folder()
    if folder is None:
        sys.stderr.write(f"{WHEEL} is not installed in out/interop/iso15118-venv\n")
        return 2
    stale = 0
    for name, text in generate(folder).items():
        path = FOLDER / f"{name}.py"
        if not path.is_file() or path.read_text() != text:
            stale += 1
            if "--check" in sys.argv:
                sys.stderr.write(f"{path.name} is not what the generator writes\n")
            else:
                path.write_text(text)
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
