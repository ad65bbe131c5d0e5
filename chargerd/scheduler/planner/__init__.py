"""The plan layer: what to charge and discharge in the next day or two, and why."""
