"""What differs between OCPP 2.1 and 2.0.1."""
