"""People's door: a unix socket of JSON lines, a read model, metrics."""
