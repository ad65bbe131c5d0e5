"""TLS towards servers that the station asks: whom we believe, and what we show."""

from __future__ import annotations

import ssl
from pathlib import Path

from chargerd.grid.errors import GridError


def trust(
    table: str, ca: Path | None, certificate: Path | None, key: Path | None
) -> ssl.SSLContext:
    """Believes `ca` (None = the machine's roots), shows our certificate if there is
    one. TLS 1.2 or newer. Raises GridError, which names the configuration's `table`."""
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(path) for path in (ca, certificate, key) if path)
        raise GridError(
            f"{table}: {files}: cannot be loaded: {error}; check ca, certificate, key"
        ) from error
    return context
