"""What pyOpenSSL's face does not give: OCSP responses, and the time of a check.

The one place that reaches below it. pyOpenSSL's own way to staple makes a callback with
cffi, which needs memory that can be written and executed; our unit forbids that
(MemoryDenyWriteExecute), and ctypes' callbacks do without (docs/adr/010).
"""

from __future__ import annotations

import ctypes
from datetime import datetime

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

_lib, _ffi = Binding.lib, Binding.ffi
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME


def _ok(_connection: int, _argument: int) -> int:
    """SSL_TLSEXT_ERR_OK: OpenSSL sends the response it was given, or none."""
    return 0


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(_ok)


def allow_staples(context: SSL.Context) -> None:
    """Vehicles that ask for an OCSP response get the one of `staple`."""
    address = ctypes.cast(_CALLBACK, ctypes.c_void_p).value or 0
    callback = _ffi.cast("int (*)(SSL *, void *)", address)
    _lib.SSL_CTX_set_tlsext_status_cb(context._context, callback)


def staple(connection: SSL.Connection, response: bytes) -> None:
    """Before the handshake. OpenSSL owns, and frees, its copy."""
    copy = _lib.OPENSSL_malloc(len(response))
    _ffi.memmove(copy, response, len(response))
    _lib.SSL_set_tlsext_status_ocsp_resp(connection._ssl, copy, len(response))


def judge_at(connection: SSL.Connection, now_utc: datetime | None) -> None:
    """The time at which the peer's certificates must hold; None: dates do not count.

    The machine's own clock may be wrong: we must not set it, and keep an offset.
    """
    param = _lib.SSL_get0_param(connection._ssl)
    if now_utc is None:
        _lib.X509_VERIFY_PARAM_set_flags(param, _NO_CHECK_TIME)
    else:
        _lib.X509_VERIFY_PARAM_set_time(param, int(now_utc.timestamp()))
