"""The test PKI: every chain of Plug & Charge, made anew in a second.

Owns certificates for tests, benches and the demo. Must never make a certificate that a
real charger or vehicle trusts: roots live as long as their folder.
"""
