"""A small CSMS for OCPP 2.1 and 2.0.1: tests, demo, play (docs/csms.md)."""

from hil.csms.link import Peer
from hil.csms.server import Csms
from hil.csms.wire import CallFailed, CsmsError, Message, Refusal, Violation

__all__ = [
    "CallFailed",
    "Csms",
    "CsmsError",
    "Message",
    "Peer",
    "Refusal",
    "Violation",
]
