"""The rig: simulated hardware on real wires."""
