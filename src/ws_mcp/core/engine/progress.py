"""How far a pull is, from what the engine tells of each layer (pure)."""

from __future__ import annotations

from ws_mcp.core.engine.record import Record

# Of one layer: how far it is when something begins, and how much that adds until it is through.
_STEPS = {
    "downloading": (0.0, 0.7),
    "verifying checksum": (0.7, 0.0),
    "download complete": (0.7, 0.0),
    "extracting": (0.7, 0.3),
    "pull complete": (1.0, 0.0),
    "already exists": (1.0, 0.0),
}
_WAITS = ("pulling fs layer", "waiting")


class PullProgress:
    """What is known of a pull; the fraction never falls, and is 1 only for whoever says that all is there."""

    __slots__ = ("_fraction", "_layers")

    def __init__(self) -> None:
        self._layers: dict[str, float] = {}
        self._fraction = 0.0

    def feed(self, told: Record) -> tuple[str, float]:
        """The phase and the fraction after one message of the engine."""
        status, layer = told.text("status").lower(), told.text("id")
        if layer and status in _WAITS:
            self._layers.setdefault(layer, 0.0)
        elif layer and status in _STEPS:
            begins, adds = _STEPS[status]
            reached = begins + adds * _share(told.record("progressDetail"))
            self._layers[layer] = max(self._layers.get(layer, 0.0), reached)
        if self._layers:
            reached = sum(self._layers.values()) / len(self._layers)
            # Layers become known one by one, so that the first may seem to be all.
            self._fraction = max(self._fraction, min(reached, 0.99))
        return self._phase(), self._fraction

    def _phase(self) -> str:
        if not self._layers:
            return "asking the registry"
        here = sum(reached >= 0.7 for reached in self._layers.values())
        if here < len(self._layers):
            return f"downloading layers, {here} of {len(self._layers)} are here"
        return "unpacking layers"


def _share(detail: Record) -> float:
    total = detail.number("total")
    return min(max(detail.number("current") / total, 0.0), 1.0) if total > 0 else 0.0
