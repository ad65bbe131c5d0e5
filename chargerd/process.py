"""A child process that serves the daemon over its pipes: how it is ended.

Must never leave one behind.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process


async def end(process: Process | None, patience_s: float) -> None:
    """By closing its stdin, then by force."""
    if process is None or process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(patience_s):
            await process.wait()
    except TimeoutError:
        pass
    finally:  # also when we are cancelled here
        if process.returncode is None:
            process.kill()
            # Python 3.11's wait() ends with the pipes: what nobody read is read here.
            await process.communicate()
