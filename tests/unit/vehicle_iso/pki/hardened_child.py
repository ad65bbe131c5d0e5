"""A TLS 1.3 handshake with a staple in a process that may not have memory that is both
writable and executable, as our unit's MemoryDenyWriteExecute forbids it.
"""

from __future__ import annotations

import ctypes
import sys
from datetime import UTC, datetime
from pathlib import Path

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # linux/prctl.h, since 6.3


def main(folder: Path) -> str:
    libc = ctypes.CDLL(None)
    if libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        return "this kernel cannot forbid it"
    from chargerd.vehicle.iso15118.tls import TlsServer
    from hil.pki.bad import ocsp_answer
    from hil.pki.make import make_pki
    from hil.pki.profiles import Profile
    from tests.unit.vehicle_iso.pki import tls_peer

    now_utc = datetime.now(UTC)
    pki = make_pki(Profile.ISO20, now_utc)
    server = TlsServer(
        [tls_peer.identity(pki.secc, folder / "secc")], tls_peer.trust_of(pki)
    )
    server.staple(ocsp_answer(pki.secc.leaf, pki.secc.subs[0], now_utc))
    root = tls_peer.root_file(pki.secc, folder)
    context = tls_peer.client_context(root, tls_peer.V1_3, pki.oem)
    peer = tls_peer.pair(server, context, now_utc)
    peer.pump()
    return f"mutual {peer.link.mutual_1_3}"


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1])))
