"""Files come and go by HTTP, FTP and SFTP, from real servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chargerd.config import Config
from chargerd.config_upkeep import Transfer
from chargerd.ocpp.effects import OcppError
from chargerd.ocpp.jobs.address import TransferError, dial, read_url
from chargerd.ocpp.jobs.halt import Halt, in_thread
from chargerd.ocpp.jobs.transfer import (
    Download,
    Downloaded,
    Transfers,
    Upload,
    Uploaded,
)
from tests.unit.ocpp.file_servers import ftp_server, pair, web_server
from tests.unit.ocpp.pem_kit import make
from tests.unit.ocpp.station_rig import EVSE

SYN_SENT = 2  # linux/tcp_states.h
req = pytest.mark.req
LOCAL = {"hosts": ["localhost"], "timeout_s": 5}
TEXT = b"0123456789" * 30_000  # 300 kB
MIB = 1024 * 1024
ALL = ("HTTPS", "HTTP", "FTPS", "FTP", "SFTP")


def transfers(tmp_path: Path, **more: Any) -> Transfers:
    (tmp_path / "certificates").mkdir(exist_ok=True)
    made = {
        "station": {"id": "CP1"},
        "evse": [{"id": 1, **EVSE}],
        "ocpp": {
            "certificates_dir": str(tmp_path / "certificates"),
            "transfer": {**LOCAL, "protocols": ALL, **more},
        },
    }
    return Transfers(Config.model_validate(made))


async def only(values: AsyncIterator[Any]) -> Any:
    (value,) = [value async for value in values]
    return value


def sent(tmp_path: Path, url: str, **more: Any) -> None:
    """Upload a file of TEXT; it is gone then."""
    file = tmp_path / "log"
    file.write_bytes(TEXT)
    task = Upload(url, file, "log 1.zip")
    value = asyncio.run(only(transfers(tmp_path, **more).upload(task)))
    assert value == Uploaded()
    assert not file.exists()


def fetched(tmp_path: Path, url: str, most: int = MIB, **more: Any) -> bytes:
    file = tmp_path / "firmware.part"
    task = Download(url, file, most)
    value = asyncio.run(only(transfers(tmp_path, **more).download(task)))
    assert value == Downloaded(len(file.read_bytes()))
    return file.read_bytes()


# HTTP uploads.


@req("N01.FR.14", "N01.FR.21", "N01.FR.29")
@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/logs/", "/logs/log%201.zip"),
        ("/logs", "/logs"),
        ("/x?sig=a%2Fb", "/x?sig=a%2Fb"),
        ("", "/log%201.zip"),
    ],
)
def test_put(tmp_path: Path, path: str, at: str) -> None:
    with web_server() as web:
        sent(tmp_path, web.url(path))
    assert web.files == {at: TEXT}
    assert [heard[0] for heard in web.heard] == ["PUT"]


@req("N01.FR.19")
def test_post_where_there_is_no_put(tmp_path: Path) -> None:
    with web_server() as web:
        web.codes = [405]
        sent(tmp_path, web.url("/up"))
    method, _, headers = web.heard[-1]
    assert method == "POST"
    assert headers["Content-Type"] == "application/octet-stream"
    assert 'filename="log 1.zip"' in headers["Content-Disposition"]
    assert web.files == {"/up": TEXT}


@req("N01.FR.25")
def test_the_users_name_goes_as_basic_authentication(tmp_path: Path) -> None:
    with web_server() as web:
        sent(tmp_path, web.url("/up").replace("//", "//an%40na:p%20w@"))
    _, path, headers = web.heard[0]
    assert headers["Authorization"] == (
        "Basic " + base64.b64encode(b"an@na:p w").decode()
    )
    assert path == "/up"


@pytest.mark.parametrize(
    ("codes", "status", "reason"),
    [
        ([400], "BadMessage", ""),
        ([401], "PermissionDenied", ""),
        ([403], "PermissionDenied", ""),
        ([405, 501], "NotSupportedOperation", ""),
        ([503], "UploadFailure", ""),
        pytest.param([307], "UploadFailure", "RedirectNotAllowed",
                     marks=req("N01.FR.30")),
    ],
)  # fmt: skip
@req("N01.FR.10")
def test_refused(tmp_path: Path, codes: list[int], status: str, reason: str) -> None:
    with web_server() as web:
        web.codes, web.location = codes, web.url("/else")
        with pytest.raises(TransferError) as failed:
            sent(tmp_path, web.url("/up"))
    assert (failed.value.status, failed.value.reason) == (status, reason)
    assert web.files == {}


@req("N01.FR.15")
def test_the_roots_of_the_csms_count(tmp_path: Path) -> None:
    root = make("CSMS root", ca=True)
    server = make("files", root, hosts=["localhost"])
    with web_server(server, tmp_path) as web:
        with pytest.raises(TransferError, match="CERTIFICATE_VERIFY_FAILED"):
            sent(tmp_path, web.url("/up", "https"))
        (tmp_path / "certificates/ca.pem").write_text(root.pem)
        sent(tmp_path, web.url("/up", "https"))
    assert web.files == {"/up": TEXT}


@req("N01.FR.16")
def test_the_roots_of_the_system_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make("public root", ca=True)
    (tmp_path / "system.pem").write_text(root.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    server = make("files", root, hosts=["localhost"])
    with web_server(server, tmp_path) as web:
        sent(tmp_path, web.url("/up", "https"))
    assert web.files == {"/up": TEXT}


# HTTP downloads.


def test_get(tmp_path: Path) -> None:
    with web_server() as web:
        web.files["/fw"] = TEXT
        assert fetched(tmp_path, web.url("/fw")) == TEXT


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    with web_server() as web:
        web.files["/fw"], web.cut_at = TEXT, 100_000
        with pytest.raises(TransferError):
            fetched(tmp_path, web.url("/fw"))
        have = (tmp_path / "firmware.part").stat().st_size
        assert 0 < have <= 100_000
        assert fetched(tmp_path, web.url("/fw")) == TEXT
        assert web.heard[-1][2]["Range"] == f"bytes={have}-"
        assert fetched(tmp_path, web.url("/fw")) == TEXT  # there is nothing left


@pytest.mark.parametrize("what", ["version", "address"])
def test_another_file_is_fetched_from_its_start(tmp_path: Path, what: str) -> None:
    with web_server() as web:
        web.files["/fw"], web.cut_at = b"old" * 100_000, 100_000
        with pytest.raises(TransferError):
            fetched(tmp_path, web.url("/fw"))
        web.files = {"/fw": TEXT, "/new": TEXT}
        web.etag = '"v2"' if what == "version" else web.etag
        path = "/fw" if what == "version" else "/new"
        assert fetched(tmp_path, web.url(path)) == TEXT


def test_a_server_that_goes_on_elsewhere_is_not_believed(tmp_path: Path) -> None:
    with web_server() as web:
        web.files["/fw"], web.cut_at, web.shift = TEXT, 100_000, 1
        with pytest.raises(TransferError):
            fetched(tmp_path, web.url("/fw"))
        with pytest.raises(TransferError, match="another range"):
            fetched(tmp_path, web.url("/fw"))


def test_no_more_bytes_than_allowed(tmp_path: Path) -> None:
    with web_server() as web:
        web.files["/fw"] = TEXT
        with pytest.raises(TransferError, match="more than 1000 bytes"):
            fetched(tmp_path, web.url("/fw"), 1000)


def test_a_download_follows_redirects(tmp_path: Path) -> None:
    with web_server() as web:
        web.files["/else"] = TEXT
        web.codes, web.location = [302], "/else"
        url = web.url("/fw").replace("//", "//anna:secret@")
        assert fetched(tmp_path, url) == TEXT
        assert "Authorization" not in web.heard[1][2]
        web.codes = [302] * 9
        with pytest.raises(TransferError, match="more than 5 redirects"):
            fetched(tmp_path, web.url("/fw"))


@pytest.mark.parametrize(
    "location", ["ftp://localhost/x", "http://169.254.169.254/", "", "http://["]
)
def test_a_redirect_is_judged_like_any_address(tmp_path: Path, location: str) -> None:
    with web_server() as web:
        web.codes, web.location = [302] * 6, location
        with pytest.raises(TransferError):
            fetched(tmp_path, web.url("/fw"))


def test_a_note_beside_the_file_holds_no_password(tmp_path: Path) -> None:
    with web_server() as web:
        web.files["/fw"] = TEXT
        fetched(tmp_path, web.url("/fw").replace("//", "//anna:hidden@"))
    assert "hidden" not in (tmp_path / "firmware.part.from").read_text()


@pytest.mark.asyncio
async def test_a_cancelled_transfer_ends_at_once(tmp_path: Path) -> None:
    heard, ended = asyncio.Event(), asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        await reader.read()  # until the other side ends
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    task = Download(f"http://localhost:{port}/x", tmp_path / "x", MIB)
    running = asyncio.create_task(
        only(transfers(tmp_path, timeout_s=600).download(task))
    )
    await heard.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await ended.wait()
    server.close()
    await server.wait_closed()


@pytest.mark.asyncio
@pytest.mark.timeout(20)
async def test_a_cancelled_dial_ends_at_once() -> None:
    """The process does not end before its threads."""
    config = Transfer(hosts=("127.0.0.1",), timeout_s=600)
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    dialled: list[socket.socket] = []

    def work(halt: Halt) -> None:
        def watch(connection: socket.socket) -> None:
            dialled.append(halt.watch(connection))

        try:
            dial(url, config, watch)
        finally:
            loop.call_soon_threadsafe(ended.set)

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        url = read_url(f"http://127.0.0.1:{server.getsockname()[1]}/", ("HTTP",))
        for _ in range(2):  # its queue is full: who comes now gets no answer
            early = stack.enter_context(socket.socket())
            early.setblocking(False)
            early.connect_ex(server.getsockname())
        running = asyncio.create_task(in_thread(work))
        while not dialled or _state(dialled[0]) != SYN_SENT:  # noqa: ASYNC110
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        await ended.wait()
    assert running.cancelled()


def _state(connection: socket.socket) -> int:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


# Addresses.


@pytest.mark.parametrize(
    "url",
    [
        "http://x/",  # not in the protocols
        "https:///path",
        "https://",
        "file:///etc/passwd",
        "https://h:99999/",
        "https://[::1/",
        "https://h/a b",
        "https://h/\r\nX: y",
        "https://h/ä",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(OcppError) as refused:
        read_url(url, ("HTTPS", "FTP"))
    assert "passw" not in refused.value.description


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "0.0.0.0",  # noqa: S104
     "169.254.169.254", "[fe80::1]",
     "[::ffff:127.0.0.1]", "224.0.0.1"],
)  # fmt: skip
def test_our_own_machine_is_no_server(host: str) -> None:
    with pytest.raises(TransferError, match="this machine"):
        dial(read_url(f"https://{host}/", ("HTTPS",)), Transfer(), Halt().watch)


def test_only_the_hosts_that_are_named() -> None:
    config = Transfer(hosts=("files.example",))
    with pytest.raises(TransferError, match=r"not in ocpp\.transfer\.hosts"):
        dial(read_url("https://localhost/", ("HTTPS",)), config, Halt().watch)


@pytest.mark.parametrize("host", ["files..example", "x" * 64 + ".example", ".example"])
def test_a_name_that_is_none_is_no_server(host: str) -> None:
    with pytest.raises(TransferError):
        dial(read_url(f"https://{host}/", ("HTTPS",)), Transfer(), Halt().watch)


# FTP and SFTP.


@pytest.mark.parametrize("path", ["a%0D%0ADELE%20x", "none"])
def test_what_an_ftp_server_cannot_be_asked(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line's end in a name; and a size that is no number."""
    size = "pyftpdlib.handlers.FTPHandler.ftp_SIZE"
    monkeypatch.setattr(size, lambda ftp, _: ftp.respond("213 big"))
    home = tmp_path / "home"
    home.mkdir()
    with ftp_server(home) as port, pytest.raises(TransferError):
        fetched(tmp_path, f"ftp://localhost:{port}/{path}")


@pytest.mark.parametrize("secure", [False, True])
def test_ftp(tmp_path: Path, secure: bool) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "fw.bin").write_bytes(TEXT)
    root = make("root", ca=True)
    chain = pair(make("files", root, hosts=["localhost"]), tmp_path) if secure else None
    transfers(tmp_path)
    (tmp_path / "certificates/ca.pem").write_text(root.pem)
    scheme = "ftps" if secure else "ftp"
    with ftp_server(home, chain) as port:
        user = f"{scheme}://bob:pass%20word@localhost:{port}"
        sent(tmp_path, f"{user}/")
        assert (home / "log 1.zip").read_bytes() == TEXT
        sent(tmp_path, f"{user}/my.zip")
        assert (home / "my.zip").read_bytes() == TEXT
        assert fetched(tmp_path, f"{user}/fw.bin") == TEXT
        part = tmp_path / "firmware.part"
        part.write_bytes(TEXT[:1000])  # of the same source, the note says
        assert fetched(tmp_path, f"{user}/fw.bin") == TEXT
        for url in (f"{user}/none", f"{scheme}://bob:wrong@localhost:{port}/fw.bin"):
            with pytest.raises(TransferError) as failed:
                fetched(tmp_path, url)
            assert failed.value.status == "PermissionDenied"


async def sftp(tmp_path: Path, known: bool, line: str = "") -> None:
    import asyncssh

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("bob", "pass word")

    home = tmp_path / "home"
    home.mkdir()
    (home / "fw.bin").write_bytes(TEXT)
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], server_factory=Server,
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=bytes(home)),
    )  # fmt: skip
    port = server.sockets[0].getsockname()[1]
    hosts = tmp_path / "known_hosts"
    public = key if known else asyncssh.generate_private_key("ssh-ed25519")
    right = f"[localhost]:{port} {public.export_public_key().decode()}"
    hosts.write_text(line or right)
    jobs = transfers(tmp_path, known_hosts=str(hosts))
    file, part = tmp_path / "log", tmp_path / "part"
    file.write_bytes(TEXT)
    user = f"sftp://bob:pass%20word@localhost:{port}"
    try:
        await only(jobs.upload(Upload(f"{user}/", file, "a.zip")))
        assert (home / "a.zip").read_bytes() == TEXT
        await only(jobs.download(Download(f"{user}/fw.bin", part, MIB)))
        assert part.read_bytes() == TEXT
        part.write_bytes(TEXT[:1000])
        await only(jobs.download(Download(f"{user}/fw.bin", part, MIB)))
        assert part.read_bytes() == TEXT
        wrong = user.replace("word", "w")
        with pytest.raises(TransferError) as failed:
            await only(jobs.download(Download(f"{wrong}/fw.bin", part, MIB)))
        assert failed.value.status == "PermissionDenied"
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.asyncio
async def test_sftp(tmp_path: Path) -> None:
    await sftp(tmp_path, known=True)


@pytest.mark.asyncio
async def test_an_sftp_server_with_another_key(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="Host key"):
        await sftp(tmp_path, known=False)


@pytest.mark.asyncio
async def test_known_hosts_that_cannot_be_read_fail_the_transfer(
    tmp_path: Path,
) -> None:
    with pytest.raises(TransferError, match="known hosts"):
        await sftp(tmp_path, known=True, line="garbage")


@pytest.mark.asyncio
async def test_sftp_needs_to_know_servers(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    task = Download(f"sftp://localhost:{port}/x", tmp_path / "x", MIB)
    async with server:
        with pytest.raises(TransferError, match="known_hosts"):
            await only(transfers(tmp_path).download(task))
        await ended.wait()
