"""Tests of chargerd/scheduler."""
