"""The heart: who gets how much power, in which direction, and why."""
