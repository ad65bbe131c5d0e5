"""The wheel's EXICodec.jar behind JSON lines: runs in the wheel's venv, one JVM.

Three ways to the same jar. "xsd": the EXIficient inside it with grammars it builds from
the wheel's XSDs (XML in, bytes out), the reference; fragments, ACDP and WPT, too.
"jar": the same with the grammars baked into the jar. "face": what the wheel itself
calls, JSON in, bytes out, one JAXB context per call. Must never import ours.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from iso15118.shared.settings import JAR_FILE_PATH
from py4j.java_gateway import JavaGateway
from py4j.protocol import Py4JError

NAMESPACES = {
    "sap": "urn:iso:15118:2:2010:AppProtocol",
    "din": "urn:din:70121:2012:MsgDef",
    "iso2": "urn:iso:15118:2:2013:MsgDef",
    "common": "urn:iso:std:iso:15118:-20:CommonMessages",
    "ac": "urn:iso:std:iso:15118:-20:AC",
    "dc": "urn:iso:std:iso:15118:-20:DC",
    "acdp": "urn:iso:std:iso:15118:-20:ACDP",
    "wpt": "urn:iso:std:iso:15118:-20:WPT",
    "xmldsig": "http://www.w3.org/2000/09/xmldsig#",
}
GRAMMARS = {
    "sap": "CommonAppProtocol",
    "din": "DINSpec_70121",
    "iso2": "ISO15118_2Grammar",
    "common": "ISO15118_20_V2G_CI_CommonMessages",
    "ac": "ISO15118_20_V2G_CI_AC",
    "dc": "ISO15118_20_V2G_CI_DC",
    "acdp": "ISO15118_20_V2G_CI_ACDP",
    "wpt": "ISO15118_20_V2G_CI_WPT",
    "xmldsig": "XMLDSIG_Core_Schema_Grammar",
}
XSDS = {
    "sap": (".", "V2G_CI_AppProtocol.xsd"),
    "din": ("din_spec", "V2G_CI_MsgDef.xsd"),
    "iso2": ("iso15118_2", "V2G_CI_MsgDef.xsd"),
    "common": ("iso15118_20", "V2G_CI_CommonMessages.xsd"),
    "ac": ("iso15118_20", "V2G_CI_AC.xsd"),
    "dc": ("iso15118_20", "V2G_CI_DC.xsd"),
    "acdp": ("iso15118_20", "V2G_CI_ACDP.xsd"),
    "wpt": ("iso15118_20", "V2G_CI_WPT.xsd"),
    "xmldsig": (".", "xmldsig-core-schema.xsd"),
}
JAVA_OPTIONS = [
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "--add-opens",
    "java.base/java.lang=ALL-UNNAMED",
]


class Core:
    """EXIficient with the options of the jar's own codec, one factory per grammar."""

    def __init__(self, jvm: Any) -> None:
        self.jvm = jvm
        self.exi = jvm.com.siemens.ct.exi
        self.factories: dict[tuple[str, str, bool], Any] = {}
        self.folder = tempfile.TemporaryDirectory()
        sax = jvm.javax.xml.parsers.SAXParserFactory.newInstance()
        sax.setNamespaceAware(True)
        self.reader = sax.newSAXParser().getXMLReader()
        transformers = jvm.javax.xml.transform.TransformerFactory.newInstance()
        self.transformer = transformers.newTransformer()

    def factory(self, way: str, schema: str, fragment: bool) -> Any:
        """Value partition and built-in grammars switched off, as the jar does."""
        key = (way, schema, fragment)
        if key not in self.factories:
            factory = self.exi.core.helpers.DefaultEXIFactory.newInstance()
            factory.setValueMaxLength(0)
            factory.setValuePartitionCapacity(0)
            factory.setMaximumNumberOfBuiltInElementGrammars(0)
            factory.setMaximumNumberOfBuiltInProductions(0)
            factory.setGrammars(
                self.built(schema)
                if way == "xsd"
                else getattr(self.exi.main.generatedgrammar, GRAMMARS[schema])()
            )
            factory.setFragment(fragment)
            self.factories[key] = factory
        return self.factories[key]

    def built(self, schema: str) -> Any:
        """Grammars of the wheel's XSDs, copied side by side: the jar finds no '..'."""
        schemas = Path(JAR_FILE_PATH).parent / "schemas"
        name, root = XSDS[schema]
        flat = Path(self.folder.name) / schema
        flat.mkdir(exist_ok=True)
        for file in (*schemas.glob("*.xsd"), *(schemas / name).glob("*.xsd")):
            text = file.read_text(encoding="utf-8").replace("../", "")
            text = re.sub(r"<!DOCTYPE.*?\]>", "", text, flags=re.DOTALL)
            (flat / file.name).write_text(text, encoding="utf-8")
        factory = self.exi.grammars.GrammarFactory.newInstance()
        return factory.createGrammars(str(flat / root))

    def encode(self, factory: Any, xml: str) -> bytes:
        out = self.jvm.java.io.ByteArrayOutputStream()
        result = self.exi.main.api.sax.EXIResult(factory)
        result.setOutputStream(out)
        self.reader.setContentHandler(result.getHandler())
        text = self.jvm.java.io.StringReader(xml)
        self.reader.parse(self.jvm.org.xml.sax.InputSource(text))
        return bytes(out.toByteArray())

    def decode(self, factory: Any, data: bytes) -> str:
        source = self.exi.main.api.sax.EXISource(factory)
        stream = self.jvm.java.io.ByteArrayInputStream(data)
        source.setInputSource(self.jvm.org.xml.sax.InputSource(stream))
        text = self.jvm.java.io.StringWriter()
        result = self.jvm.javax.xml.transform.stream.StreamResult(text)
        self.transformer.transform(source, result)
        return str(text.toString())


class Jar:
    """Both ways, one JVM. The JVM ends with this process."""

    def __init__(self) -> None:
        self.gateway = JavaGateway.launch_gateway(
            classpath=JAR_FILE_PATH, die_on_exit=True, javaopts=JAVA_OPTIONS
        )
        self.core = Core(self.gateway.jvm)
        self.face = self.gateway.jvm.com.siemens.ct.exi.main.cmd.EXICodec()

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """One question: which `way`, `schema`, and `hex` or `text`."""
        schema = question["schema"]
        if question["way"] == "face":
            namespace = NAMESPACES[schema]
            if "hex" in question:
                text = self.face.decode(bytes.fromhex(question["hex"]), namespace)
                if text is None:
                    return {"error": str(self.face.get_last_decoding_error())}
                return {"text": text}
            data = self.face.encode(question["text"], namespace)
            if data is None:
                return {"error": str(self.face.get_last_encoding_error())}
            return {"hex": bytes(data).hex()}
        factory = self.core.factory(question["way"], schema, question["fragment"])
        if "hex" in question:
            data = bytes.fromhex(question["hex"])
            return {"text": self.core.decode(factory, data)}
        return {"hex": self.core.encode(factory, question["text"]).hex()}


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    jar = Jar()
    say({"ready": True})
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = jar.answer(question)
        except Py4JError as error:
            cause = getattr(error, "java_exception", None)
            answer = {"error": str(cause.toString() if cause is not None else error)}
        say(answer)
    jar.gateway.shutdown()


if __name__ == "__main__":
    main()
