"""Hardware in the loop: the virtual bench and its partners.

Shares no code with the product.
"""
