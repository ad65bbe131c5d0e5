"""EcoG's SECC as a certificate provisioning service (CPS).

Runs in the wheel's venv: one CertificateInstallationReq in base64 on a line of stdin,
its response, made and signed with the wheel's test PKI, on a line of stdout. Must never
import ours.
"""

from __future__ import annotations

import base64
import os
import sys

FACTS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # the wheel logs to stdout, which is for our lines

from iso15118.secc import SECCHandler  # noqa: E402, F401  # its states need it first
from iso15118.secc.states.iso15118_2_states import (  # noqa: E402
    CertificateInstallation,
)
from iso15118.shared.exi_codec import EXI  # noqa: E402
from iso15118.shared.exificient_exi_codec import ExificientEXICodec  # noqa: E402
from iso15118.shared.messages.enums import Namespace  # noqa: E402
from iso15118.shared.messages.iso15118_2.body import Body  # noqa: E402
from iso15118.shared.messages.iso15118_2.header import MessageHeader  # noqa: E402
from iso15118.shared.messages.iso15118_2.msgdef import V2GMessage  # noqa: E402
from iso15118.shared.settings import load_shared_settings  # noqa: E402


def tell(text: str) -> None:
    FACTS.write(text + "\n")
    FACTS.flush()


def answer(request: bytes) -> bytes:
    """The wheel's own response, as its SECC makes it without a backend."""
    asked = EXI().from_exi(request, Namespace.ISO_V2_MSG_DEF)
    made = CertificateInstallation.generate_certificate_installation_res
    response, signature = made(None)
    message = V2GMessage(
        header=MessageHeader(session_id=asked.header.session_id, signature=signature),
        body=Body.parse_obj({"CertificateInstallationRes": response.dict()}),
    )
    return EXI().to_exi(message, Namespace.ISO_V2_MSG_DEF)


if __name__ == "__main__":
    load_shared_settings()
    EXI().set_exi_codec(ExificientEXICodec())
    tell("ready")
    for line in sys.stdin:
        tell(base64.b64encode(answer(base64.b64decode(line))).decode())
