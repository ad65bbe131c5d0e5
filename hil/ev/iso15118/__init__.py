"""A vehicle that speaks DIN 70121, ISO 15118-2 and ISO 15118-20, for the bench.

Shares codec, framing and ordering graphs with the product (docs/adr/009), nothing
else: what it wants, its timers and its state are its own.
"""
