"""Certificates on disk, shared by the doors: trust anchors, their names, own keys."""
