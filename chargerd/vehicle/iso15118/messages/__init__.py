"""Readable declarations of every message, one module per schema set (declare.py)."""
