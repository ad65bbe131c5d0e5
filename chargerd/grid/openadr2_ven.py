"""The OpenADR 2.0b VEN's own process: messages to the VTN and back, for the door.

`python -m chargerd.grid.openadr2_ven`: JSON lines in (settings, then one call each),
JSON lines out. The only file that imports openleadr: its templates, XML schema and XML
signature. Must never decide anything: what to say and when is the core's.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from lxml import etree
from openleadr import errors, messaging
from signxml.exceptions import InvalidSignature

from chargerd.grid import openadr2_xml

MAX_BYTES = 1 << 20
TIMEOUT_S = 15.0
FILES = ("ca", "certificate", "key")
Json = dict[str, Any]


class Failed(Exception):
    """No answer to work with. `kind` is a word for the core."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Ven:
    """One VTN, one HTTP session."""

    def __init__(self, settings: Json, session: aiohttp.ClientSession) -> None:
        self._url, self._session = settings["url"].rstrip("/"), session
        self._fingerprint = settings["vtn_fingerprint"]
        self._signer: Json = {}
        if settings["sign"]:
            self._signer = {
                "cert": Path(settings["certificate"]).read_bytes(),
                "key": Path(settings["key"]).read_bytes(),
            }

    async def call(self, service: str, message: str, payload: Json) -> Json:
        """One message and its answer, or Failed."""
        text = messaging.create_message(message, **self._signer, **payload)
        answer, date = await self._post(f"{self._url}/{service}", text.encode())
        if not answer:
            return {"type": "", "body": {}, "date": date}
        kind, body = openadr2_xml.read(self._check(answer))
        if not kind:
            raise Failed("malformed", "not one signed object")
        return {"type": kind, "body": body, "date": date}

    async def _post(self, url: str, body: bytes) -> tuple[bytes, str]:
        try:
            async with self._session.post(
                url, data=body, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise Failed("http", f"{url}: HTTP {answer.status}")
                found = await answer.content.read(MAX_BYTES + 1)
                while not answer.content.at_eof() and len(found) <= MAX_BYTES:
                    found += await answer.content.read(MAX_BYTES + 1 - len(found))
                if len(found) > MAX_BYTES:
                    raise Failed("size", f"{url}: an answer over {MAX_BYTES} bytes")
                return found, _date(answer.headers.get("Date", ""))
        except TimeoutError as error:
            raise Failed("timeout", f"{url}: no answer in {TIMEOUT_S} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Failed("connection", f"{url}: {error}"[:300]) from error

    def _check(self, answer: bytes) -> Any:
        """The tree of a message that keeps to the schema and is signed by the VTN."""
        if b"<!DOCTYPE" in answer or b"<!ENTITY" in answer:
            raise Failed("malformed", "a document type; OpenADR has none")
        try:
            tree = messaging.validate_xml_schema(answer)
            if self._fingerprint:
                messaging.validate_xml_signature(tree, self._fingerprint)
        except etree.XMLSyntaxError as error:
            raise Failed("malformed", str(error)[:300]) from error
        except (
            errors.FingerprintMismatch,
            InvalidSignature,
            ValueError,
            AttributeError,  # openleadr's, where there is no certificate
        ) as error:
            raise Failed("signature", str(error)[:300]) from error
        return tree


def _date(header: str) -> str:
    """The VTN's clock, to the second; "" = it does not say."""
    try:
        return parsedate_to_datetime(header).astimezone(UTC).isoformat()
    except (ValueError, TypeError):
        return ""


def tls(settings: Json) -> ssl.SSLContext | bool:
    """Both sides show a certificate (OpenADR 2.0b, standard security: TLS 1.2)."""
    if not settings["url"].startswith("https:"):
        return True  # aiohttp's word for "as usual"
    context = ssl.create_default_context(cafile=settings["ca"] or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings["certificate"]:
        context.load_cert_chain(settings["certificate"], settings["key"])
    return context


def unpack(value: Any) -> Any:
    """JSON -> openleadr's values: {"utc": ...}, {"s": ...} and {"new": "id"}."""
    if isinstance(value, list):
        return [unpack(one) for one in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"utc": str(text)}:
            return datetime.fromisoformat(text)
        case {"s": int(seconds) | float(seconds)}:
            return timedelta(seconds=seconds)
        case {"new": "id"}:
            return uuid4().hex
    return {key: unpack(one) for key, one in value.items()}


async def serve(lines: asyncio.StreamReader) -> None:
    """Until the daemon closes the pipe."""
    settings = json.loads(await lines.readline())
    try:
        trusted = tls(settings)
    except OSError as error:  # ssl's own, too
        paths = ", ".join(filter(None, (settings[key] for key in FILES)))
        say({"error": "files", "text": f"{paths}: cannot be loaded: {error}"})
        return
    async with aiohttp.ClientSession(
        headers={"content-type": "application/xml"},
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        connector=aiohttp.TCPConnector(ssl=trusted),
    ) as session:
        ven = Ven(settings, session)
        while line := await lines.readline():
            call = json.loads(line)
            try:
                answer = await ven.call(
                    call["service"], call["message"], unpack(call["payload"])
                )
            except Failed as failed:
                answer = {"error": failed.kind, "text": str(failed)}
            say(answer)


def say(answer: Json) -> None:
    """One line to the daemon."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Stdin is the daemon."""
    lines = asyncio.StreamReader(limit=MAX_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await serve(lines)


if __name__ == "__main__":
    asyncio.run(main())
