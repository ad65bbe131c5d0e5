"""Files over HTTP and HTTPS: PUT or POST of one, GET of another that can be resumed.

Owns the requests and what their answers mean (N01.FR.14 to .30). Blocks: in a thread.
"""

from __future__ import annotations

import base64
import http.client
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from urllib.parse import quote, urljoin

from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs.address import TransferError, Url, read_url
from chargerd.ocpp.jobs.halt import Halt, Line
from chargerd.ocpp.jobs.part import BLOCK, Part

MOST_HOPS = 5  # redirects of a download
DENIED, NO_METHOD, BAD = (401, 403), (405, 501), (400, 411, 413, 414, 415, 422)
TYPE = "application/octet-stream"
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class _Client(http.client.HTTPConnection):
    """Dials by our rules."""

    def __init__(self, url: Url, line: Line) -> None:
        super().__init__(url.host, url.port, blocksize=BLOCK)
        self._url, self._line = url, line

    def connect(self) -> None:
        url, line = self._url, self._line
        context = line.tls() if url.scheme == "https" else None
        connection = line.dial(url)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname=url.host)
        self.sock = line.halt.watch(connection)


@contextmanager
def _client(url: Url, line: Line) -> Iterator[_Client]:
    client = _Client(url, line)
    try:
        yield client
    except (OSError, http.client.HTTPException) as error:
        line.halt.check()
        raise TransferError(f"{url.shown}: {error!r}") from error
    finally:
        client.close()


def _headers(url: Url) -> dict[str, str]:
    headers = {"User-Agent": "chargerd", "Accept-Encoding": "identity"}
    if url.user or url.password:  # N01.FR.25
        both = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
        headers["Authorization"] = f"Basic {both}"
    return headers


# Upload.


def put(url: Url, file: Path, name: str, line: Line) -> None:
    """PUT; POST where the server knows no PUT. Raises TransferError."""
    target = url.target
    if target.endswith("/"):  # N01.FR.21, .29
        target += quote(name)
    for method in ("PUT", "POST"):
        status = _sent(method, target, url, file, name, line)
        if status not in NO_METHOD:
            break
    if 200 <= status < 300:
        return
    if 300 <= status < 400:  # N01.FR.30
        raise TransferError(f"{url.shown}: redirected", reason="RedirectNotAllowed")
    kind = "UploadFailure"
    for codes, meaning in (
        (DENIED, "PermissionDenied"),
        (NO_METHOD, "NotSupportedOperation"),
        (BAD, "BadMessage"),
    ):
        kind = meaning if status in codes else kind
    raise TransferError(f"{url.shown}: HTTP {status}", kind)


def _sent(method: str, target: str, url: Url, file: Path, name: str, line: Line) -> int:
    """The status code of one attempt."""
    headers = {**_headers(url), "Content-Type": TYPE}
    headers["Content-Length"] = str(file.stat().st_size)
    if method == "POST":  # N01.FR.19
        form = f'form-data; name="uploadfile"; filename="{name}"'
        headers["Content-Disposition"] = form
    with _client(url, line) as client, file.open("rb") as body:
        try:
            client.request(method, target, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            line.halt.check()  # else it may have answered before it heard all
        with client.getresponse() as answer:
            return answer.status


# Download.


def get(url: Url, part: Part, line: Line) -> int:
    """Go on with `part` where the server allows it. The size of the whole file."""
    for _ in range(MOST_HOPS):
        answer = _fetch(url, part, line)
        if isinstance(answer, int):
            return answer
        url = _next(url, answer)
    raise TransferError(f"{url.shown}: more than {MOST_HOPS} redirects")


def _next(url: Url, location: str) -> Url:
    """Where a redirect leads; never from HTTPS to HTTP, never with the password."""
    base = f"{url.scheme}://{url.host}:{url.port}{url.target}"
    allowed = ("HTTPS",) if url.scheme == "https" else ("HTTPS", "HTTP")
    try:
        return read_url(urljoin(base, location), allowed)
    except (OcppError, ValueError) as error:
        raise TransferError(f"{url.shown}: redirected, {error}") from error


def _fetch(url: Url, part: Part, line: Line) -> int | str:
    """The size, or where the server sends us."""
    have, validator = part.known()
    headers = _headers(url)
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with _client(url, line) as client:
        client.request("GET", url.target, headers=headers)
        with client.getresponse() as answer:
            if answer.status in (301, 302, 303, 307, 308):
                return answer.headers.get("Location", "")
            if answer.status == 416 and have:  # all of it is here, or it has changed
                if answer.headers.get("Content-Range", "") == f"bytes */{have}":
                    return have
                part.open(0, "").close()
            if answer.status not in (200, 206):
                raise TransferError(f"{url.shown}: HTTP {answer.status}")
            return _save(url, answer, part, have, line.halt)


def _save(
    url: Url, answer: http.client.HTTPResponse, part: Part, have: int, halt: Halt
) -> int:
    offset = 0
    if answer.status == 206:
        match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise TransferError(f"{url.shown}: another range than asked for")
        offset = have
    length = answer.length  # what is left to read, None = not said
    part.check(offset + (length or 0))
    size = offset
    with part.open(offset, _validator(answer.headers)) as out:
        while block := answer.read(BLOCK):
            halt.check()
            size += len(block)
            part.check(size)
            out.write(block)
    if length is not None and size - offset != length:
        raise TransferError(f"{url.shown}: broken off at {size} bytes")
    return size


def _validator(headers: Message) -> str:
    """What If-Range can be told: a strong ETag, else the date."""
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return "" if etag else headers.get("Last-Modified", "")
