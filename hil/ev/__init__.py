"""Simulated vehicles: `catalog.make(kind, soc, capacity_wh, profile=..., ...)`.

basic (IEC 61851 AC), external (moved by the `pilot` verb), chademo (V2H). Keys are the
fields of the model (`chademo_traits.Traits`) and of `battery.Battery`; a wrong one is
answered with the list. All are pure and stepped by the rig with its own time.
"""
