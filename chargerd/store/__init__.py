"""Durable state: one SQLite file, one writer thread, numbered migrations."""
