"""Files over SFTP, with the extra `sftp`. Servers are known by their keys, or refused.

Owns the session and what its errors mean.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from chargerd.config_upkeep import Transfer
from chargerd.ocpp.jobs.address import TransferError, Url
from chargerd.ocpp.jobs.part import BLOCK, Part

if TYPE_CHECKING:
    import asyncssh


@asynccontextmanager
async def _session(
    url: Url, connection: socket.socket, config: Transfer
) -> AsyncIterator[asyncssh.SFTPClient]:
    try:
        import asyncssh
    except ImportError as error:
        connection.close()
        raise TransferError(
            "SFTP needs the extra chargerd[sftp]", "NotSupportedOperation"
        ) from error
    if config.known_hosts is None:
        connection.close()
        raise TransferError("SFTP needs ocpp.transfer.known_hosts", "PermissionDenied")
    connection.setblocking(False)
    try:
        async with (
            asyncssh.connect(
                url.host,
                url.port,
                sock=connection,
                username=url.user,
                password=url.password,
                known_hosts=str(config.known_hosts),
                client_keys=None,
                agent_path=None,
                config=None,
                login_timeout=config.timeout_s,
                keepalive_interval=config.timeout_s,
            ) as session,
            session.start_sftp_client() as client,
        ):
            yield client
    except (asyncssh.PermissionDenied, asyncssh.SFTPPermissionDenied) as error:
        raise TransferError(f"{url.shown}: {error}", "PermissionDenied") from error
    except (asyncssh.Error, OSError, ValueError) as error:  # also bad known_hosts
        raise TransferError(f"{url.shown}: {error}") from error


async def put(
    url: Url, file: Path, name: str, connection: socket.socket, config: Transfer
) -> None:
    path = url.path + (name if url.path.endswith("/") else "")
    async with _session(url, connection, config) as client:
        with file.open("rb") as body:
            async with client.open(path, "wb") as out:
                while block := await asyncio.to_thread(body.read, BLOCK):
                    await out.write(block)


async def get(url: Url, part: Part, connection: socket.socket, config: Transfer) -> int:
    async with _session(url, connection, config) as client:
        whole = (await client.stat(url.path)).size or 0
        part.check(whole)
        have, validator = part.known()
        if validator != str(whole) or have > whole:
            have = 0
        with await asyncio.to_thread(part.open, have, str(whole)) as out:
            async with client.open(url.path, "rb") as source:
                await source.seek(have, os.SEEK_SET)
                while block := cast(bytes, await source.read(BLOCK)):
                    have += len(block)
                    part.check(have)
                    await asyncio.to_thread(out.write, block)
    if have != whole:
        raise TransferError(f"{url.shown}: broken off at {have} of {whole} bytes")
    return have
