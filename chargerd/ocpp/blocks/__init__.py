"""OCPP's functional blocks, one module each, pure."""
