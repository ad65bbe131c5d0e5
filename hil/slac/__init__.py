"""ISO 15118-3 on the bench: a vehicle that matches, and a power line with its modems.

Own codec, own state: nothing of the product. `python -m hil.slac` runs them on real
interfaces; in memory they run on a fake clock.
"""
