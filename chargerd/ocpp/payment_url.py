"""The URL of a dynamic QR code, with its one-time password (C25). Pure.

Sources: OCPP 2.1 part 2, C25, "TOTP algorithm, version 1"; its alphabet with all 62
letters as in github.com/OpenChargingTechnology/Whitepapers, SecureDynamicQRCodes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import string
from collections.abc import Mapping
from urllib.parse import quote

ALPHABET = string.digits + string.ascii_lowercase + string.ascii_uppercase
_PLACE = re.compile(r"\{([A-Za-z]+)\}")
_NEEDED = ("totp", "version")
_WHOM = ("chargingstationid", "roamingevseid")
_KNOWN = (*_NEEDED, *_WHOM, "evse")


def one_time_password(secret: str, posix_s: float, validity_s: int, length: int) -> str:
    """TOTP v1: letters out of an HMAC of the number of the present interval."""
    interval = int(posix_s // validity_s).to_bytes(8, "big")
    digest = hmac.new(secret.encode(), interval, hashlib.sha256).digest()
    first = digest[-1] & 0x0F
    return "".join(
        ALPHABET[digest[(first + n) % len(digest)] % len(ALPHABET)]
        for n in range(length)
    )


def problem(template: str) -> str:
    """Why this is no template; "" = it is one (C25.FR.50)."""
    names = [name.lower() for name in _PLACE.findall(template)]
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        return f"{{{missing[0]}}} is missing"
    if not any(name in names for name in _WHOM):
        return "neither {chargingstationid} nor {roamingevseid}"
    unknown = [name for name in names if name not in _KNOWN]
    return f"{{{unknown[0]}}} is unknown" if unknown else ""


def filled(template: str, values: Mapping[str, str], query: Mapping[str, str]) -> str:
    """With `values` by lower-case name in its places (C25.FR.51 to .53), and what the
    driver wishes behind it (C25.FR.56 to .58)."""
    url = _PLACE.sub(lambda m: quote(values[m[1].lower()], safe="*"), template)
    if not query:
        return url
    joint = "&" if "?" in url else "?"
    return url + joint + "&".join(f"{name}={value}" for name, value in query.items())
