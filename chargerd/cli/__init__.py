"""`chargerctl`, the technician's command; talks to the daemon over its socket only."""
