"""The raw socket: HomePlug frames of one interface, by AF_PACKET and a kernel filter.

Needs CAP_NET_RAW. Owns the descriptor; must never see other traffic than EtherType
0x88E1. Finds the interfaces that are power-line modems.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from pathlib import Path

from chargerd.vehicle.slac.mme import ETHERTYPE, MAX_FRAME

_SO_ATTACH_FILTER = 26
_ETHERNET = 1  # ARPHRD_ETHER
# Classic BPF: load the EtherType; if it is ours, take the frame; else none of it.
_FILTER = (
    (0x28, 0, 0, 12),
    (0x15, 0, 1, ETHERTYPE),
    (0x06, 0, 0, MAX_FRAME),
    (0x06, 0, 0, 0),
)
MODEM_DRIVERS = ("qcaspi", "qca_spi", "qcauart", "qca_uart", "mse102x")
SYS_NET = Path("/sys/class/net")


def open_raw(interface: str) -> tuple[socket.socket, bytes]:
    """A bound, non-blocking socket and the interface's own MAC. Raises OSError."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # 0: nothing until bound
    try:
        code = b"".join(struct.pack("HBBI", *step) for step in _FILTER)
        program = ctypes.create_string_buffer(code)
        pointer = struct.pack("@HP", len(_FILTER), ctypes.addressof(program))
        raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointer)
        raw.setblocking(False)
        raw.bind((interface, ETHERTYPE))
        return raw, _own_mac(raw, interface)
    except OSError:
        raw.close()
        raise


def _own_mac(raw: socket.socket, interface: str) -> bytes:
    _, _, _, hardware, mac = raw.getsockname()
    if hardware != _ETHERNET or len(mac) != 6:
        raise OSError(f"{interface} is not an Ethernet interface")
    return bytes(mac)


def modems(sys_net: Path = SYS_NET) -> list[str]:
    """Interfaces whose driver is that of a power-line modem on SPI or UART. A modem
    behind ordinary Ethernet is not to be told from others: configure it."""
    found = []
    for interface in sorted(sys_net.iterdir()) if sys_net.is_dir() else []:
        driver = interface / "device" / "driver"
        if driver.exists() and driver.resolve().name in MODEM_DRIVERS:
            found.append(interface.name)
    return found
