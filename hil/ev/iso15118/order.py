"""The vehicle's look at the product's ordering graph: is this request in order here?

It follows every state the station may be in, so it needs no state's name. Pure.
"""

from __future__ import annotations

from chargerd.vehicle.iso15118.secc.flow import Graph


class Order:
    """One session's walk through `graph`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._at = {graph.start}

    def allows(self, request: str) -> bool:
        """Whether `request` is in order in one of the states."""
        return any(self._graph.following(at, request) for at in self._at)

    def sent(self, request: str) -> None:
        """It was sent: the station is in one of the states that follow."""
        ways = [self._graph.following(at, request) or () for at in self._at]
        self._at = {state for way in ways for state in way}
