"""Jobs beside the loop: transfers, key pairs, files. One module per kind of job.

A module owns its task (a frozen value) and the worker that carries it out: an async
generator that yields values and raises OcppError when it fails.
"""
