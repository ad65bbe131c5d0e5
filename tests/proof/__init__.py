"""The proof (`make proof`): the real heart against simulated sessions and prices.

Everything here drives chargerd's own Cycle through the stand of its unit tests; nothing
of the scheduler is written again.
"""
