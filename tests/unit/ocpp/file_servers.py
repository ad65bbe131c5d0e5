"""File servers on loopback, each in a thread: HTTP(S) and FTP(S)."""

from __future__ import annotations

import contextlib
import logging
import re
import ssl
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.unit.ocpp.pem_kit import Made

with warnings.catch_warnings():
    # pyftpdlib stands on asyncore, which Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
    from pyftpdlib.servers import FTPServer

_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass
class Web:
    """What an HTTP server has and has heard. `codes`: of the next requests."""

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str = '"v1"'
    codes: list[int] = field(default_factory=list)
    location: str = ""
    shift: int = 0  # a 206 begins so much later than asked
    cut_at: int | None = None  # a GET breaks off after so many bytes
    heard: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    def url(self, path: str, scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.port}{path}"


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def _begin(self) -> bool:
            """False when the answer was a code of the list."""
            headers = {name.title(): text for name, text in self.headers.items()}
            web.heard.append((self.command, self.path, headers))
            code = web.codes.pop(0) if web.codes else 0
            if code:
                self.send_response(code)
                if web.location:
                    self.send_header("Location", web.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
            return not code

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self._begin():
                web.files[self.path] = body
                self.send_response(201)
                self.send_header("Content-Length", "0")
                self.end_headers()

        do_POST = do_PUT

        def do_GET(self) -> None:
            if not self._begin():
                return
            body = web.files[self.path]
            match = _RANGE.match(self.headers.get("Range", ""))
            start = int(match[1]) if match else 0
            if match and self.headers["If-Range"] == web.etag:
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                start += web.shift
                last = len(body) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(body)}")
            else:
                start = 0
                self.send_response(200)
            self.send_header("ETag", web.etag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = len(body) if web.cut_at is None else web.cut_at
            web.cut_at = None
            self.wfile.write(body[start:end])
            self.close_connection = True

    return Handler


@contextlib.contextmanager
def web_server(certificate: Made | None = None, folder: Path = Path()) -> Iterator[Web]:
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(web))
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair(certificate, folder))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pair(certificate: Made, folder: Path) -> Path:
    file = folder / "server.pem"
    file.write_text(certificate.pem + certificate.key_pem)
    return file


@contextlib.contextmanager
def ftp_server(home: Path, certificate: Path | None = None) -> Iterator[int]:
    """Its port. User `bob`, password `pass word`, may read and write."""
    logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
    users = DummyAuthorizer()
    users.add_user("bob", "pass word", str(home), perm="elradfmwMT")
    users.add_anonymous(str(home))
    base = TLS_FTPHandler if certificate else FTPHandler
    quick = {"authorizer": users, "auth_failed_timeout": 0}
    handler = type("Handler", (base,), quick)
    if certificate:
        handler.certfile = str(certificate)
        handler.tls_control_required = handler.tls_data_required = True
    server = FTPServer(("127.0.0.1", 0), handler)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            server.serve_forever(timeout=0.01, blocking=False, handle_exit=False)
        server.close_all()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.address[1]
    finally:
        over.set()
        thread.join()
