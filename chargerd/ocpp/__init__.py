"""The central system's door: OCPP 2.1 and 2.0.1 over WebSocket."""
