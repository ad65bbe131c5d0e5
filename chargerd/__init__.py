"""chargerd: the daemon of a bidirectional EV charger. See docs/tour.md."""

__version__ = "0.1.0"
