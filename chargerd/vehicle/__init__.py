"""The vehicle doors: one package per protocol, all behind `model.VehicleDoor`."""
