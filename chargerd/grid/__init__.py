"""The grid's own doors, one per source: bytes in, DispatchSignal out.

`build.py` has the list; `ports.py` is the seam that they all share.
"""
