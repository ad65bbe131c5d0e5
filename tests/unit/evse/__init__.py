"""Tests of chargerd/evse."""
