"""A station's TLS handshake in a process of its own, as OpenSSL's configuration is read
once a process. Arguments: chain, key reference, the vehicle's root. Prints the outcome.
"""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

from chargerd.vehicle.iso15118.pki import Trust
from chargerd.vehicle.iso15118.tls import Identity, TlsServer
from tests.unit.vehicle_iso.pki.tls_peer import Pair, client_context


def main(chain: str, key: str, root: str, version: str) -> None:
    server = TlsServer([Identity(Path(chain), Path(key))], Trust())
    context = client_context(Path(root), ssl.TLSVersion[version])
    peer = Pair(context, server.wrap(None))
    peer.pump()
    sys.stdout.write(f"{peer.link.established} {peer.link.summary}")


if __name__ == "__main__":
    main(*sys.argv[1:])
