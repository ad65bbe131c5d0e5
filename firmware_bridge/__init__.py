"""The power hardware: buses, drivers and devices of the station.

Knows nothing of OCPP, ISO 15118 or grids; `api` is its face to the daemon.
"""
