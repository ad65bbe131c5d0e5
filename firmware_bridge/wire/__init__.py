"""Codecs of the devices' wires: bytes to values and back, pure."""
