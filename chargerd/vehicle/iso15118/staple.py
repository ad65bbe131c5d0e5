"""Hands OpenSSL the OCSP response that a vehicle may ask for.

The one place that reaches below pyOpenSSL's face. Its own way makes a callback with
cffi, which needs memory that can be written and executed; our unit forbids that
(MemoryDenyWriteExecute), and ctypes' callbacks do without (docs/adr/010).
"""

from __future__ import annotations

import ctypes

from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

_lib, _ffi = Binding.lib, Binding.ffi


def _ok(_connection: int, _argument: int) -> int:
    """SSL_TLSEXT_ERR_OK: OpenSSL sends the response it was given, or none."""
    return 0


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(_ok)


def enable(context: SSL.Context) -> None:
    """Vehicles that ask are answered from now on."""
    address = ctypes.cast(_CALLBACK, ctypes.c_void_p).value or 0
    callback = _ffi.cast("int (*)(SSL *, void *)", address)
    _lib.SSL_CTX_set_tlsext_status_cb(context._context, callback)


def put(connection: SSL.Connection, response: bytes) -> None:
    """Before the handshake. OpenSSL owns, and frees, its copy."""
    copy = _lib.OPENSSL_malloc(len(response))
    _ffi.memmove(copy, response, len(response))
    _lib.SSL_set_tlsext_status_ocsp_resp(connection._ssl, copy, len(response))
