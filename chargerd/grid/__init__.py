"""The grid's own doors, one file per source: bytes in, DispatchSignal out.

None yet: so far the grid speaks through OCPP and the local API.
"""
