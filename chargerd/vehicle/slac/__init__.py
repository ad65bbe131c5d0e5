"""ISO 15118-3: which vehicle hangs on this cable, and its data link (docs/slac.md).

`matching.py` decides, `unit.py` is its own small process with the raw socket, `door.py`
is the daemon's side. Must never import the daemon's heavy parts: the unit stays small.
"""
