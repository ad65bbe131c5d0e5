"""Files over FTP and FTPS (explicit TLS, RFC 4217), passive mode only.

Owns the commands and what their answers mean. Blocks: in a thread.
"""

from __future__ import annotations

import contextlib
import ftplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chargerd.ocpp.jobs.address import TransferError, Url
from chargerd.ocpp.jobs.halt import Line
from chargerd.ocpp.jobs.part import BLOCK, Part

DENIED, NO_COMMAND = ("530", "532", "550", "553"), ("500", "502", "504")


@contextmanager
def _session(url: Url, line: Line) -> Iterator[ftplib.FTP]:
    ftp = ftplib.FTP_TLS(context=line.tls()) if url.scheme == "ftps" else ftplib.FTP()  # noqa: S321
    try:
        ftp.sock = line.halt.watch(line.dial(url))
        ftp.af, ftp.host, ftp.port = ftp.sock.family, url.host, url.port
        ftp.timeout = ftp.sock.gettimeout()
        ftp.file = ftp.sock.makefile("r", encoding=ftp.encoding)
        ftp.welcome = ftp.getresp()
        ftp.login(url.user or "anonymous", url.password or "anonymous@")
        if isinstance(ftp, ftplib.FTP_TLS):
            line.halt.watch(ftp.sock)
            ftp.prot_p()
        yield ftp
    except ftplib.error_perm as error:
        raise TransferError(f"{url.shown}: {error}", _status(str(error))) from error
    except (ftplib.Error, OSError, EOFError, ValueError) as error:
        # ValueError: a line's end in a name, a number that is none
        line.halt.check()
        raise TransferError(f"{url.shown}: {error!r}") from error
    finally:
        ftp.close()


def _status(text: str) -> str:
    if text[:3] in DENIED:
        return "PermissionDenied"
    return "NotSupportedOperation" if text[:3] in NO_COMMAND else "UploadFailure"


def put(url: Url, file: Path, name: str, line: Line) -> None:
    """STOR. Raises TransferError."""
    path = url.path + (name if url.path.endswith("/") else "")
    with _session(url, line) as ftp, file.open("rb") as body:
        ftp.voidcmd("TYPE I")
        with _shut(line.halt.watch(ftp.transfercmd(f"STOR {path}"))) as connection:
            while block := body.read(BLOCK):
                line.halt.check()
                connection.sendall(block)
        ftp.voidresp()


def get(url: Url, part: Part, line: Line) -> int:
    """RETR, from where `part` ends if its size says that it is the same file."""
    with _session(url, line) as ftp:
        ftp.voidcmd("TYPE I")
        whole = ftp.size(url.path)
        part.check(whole or 0)
        have, validator = part.known()
        if validator != str(whole) or whole is None or have > whole:
            have = 0
        size = have
        data = line.halt.watch(ftp.transfercmd(f"RETR {url.path}", have or None))
        with part.open(have, str(whole)) as out, _shut(data) as connection:
            while block := connection.recv(BLOCK):
                line.halt.check()
                size += len(block)
                part.check(size)
                out.write(block)
        ftp.voidresp()
    if whole is not None and size != whole:
        raise TransferError(f"{url.shown}: broken off at {size} of {whole} bytes")
    return size


@contextmanager
def _shut(connection: socket.socket) -> Iterator[socket.socket]:
    """The data connection; TLS is ended in order, so that no byte can be missing."""
    try:
        yield connection
        if isinstance(connection, ssl.SSLSocket):
            with contextlib.suppress(OSError):  # many servers just close
                connection.unwrap()
    finally:
        connection.close()
