"""One file per device; copy _template.py for a new one."""
