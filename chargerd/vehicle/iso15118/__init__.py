"""The ISO 15118 door: DIN 70121, ISO 15118-2 and -20.

Owns what is said to the vehicle over the power line. Must never import the bridge,
another door or the scheduler. Importing this package builds nothing.
"""
