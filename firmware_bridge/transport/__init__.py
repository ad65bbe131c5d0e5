"""Serial, CAN and Modbus: the only files that import their libraries."""
