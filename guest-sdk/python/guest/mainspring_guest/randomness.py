"""Random numbers that the journal determines: drawn from the host's stream, one by one.

Nothing is buffered, so that a reset, which begins the stream anew, shows in the next number.
"""

from __future__ import annotations

import random
from collections.abc import Callable

_FLOAT_BITS = 53


class HostRandom(random.Random):
    """`random.Random` over the host's stream; an ordinary one once the author has seeded it."""

    def __init__(self, draw: Callable[[int], bytes] | None = None) -> None:
        # A seed of its own, so that Python need not ask the machine for one.
        super().__init__(0)
        self.draw = draw
        self._is_seeded = False

    def seed(self, a=None, version=2) -> None:
        # Without a seed it is the host's stream again: componentize-py asks for that when an instance begins.
        self._is_seeded = a is not None
        super().seed(0 if a is None else a, version)

    def setstate(self, state) -> None:
        self._is_seeded = True
        super().setstate(state)

    def _bits(self, count: int) -> int:
        return int.from_bytes(self.draw((count + 7) // 8), "big") >> (-count % 8)

    def random(self) -> float:
        if self._is_seeded or self.draw is None:
            return super().random()
        return self._bits(_FLOAT_BITS) / (1 << _FLOAT_BITS)

    def getrandbits(self, k: int) -> int:
        if self._is_seeded or self.draw is None:
            return super().getrandbits(k)
        return self._bits(k) if k > 0 else super().getrandbits(k)


def take_over(shared: HostRandom) -> None:
    """Makes the functions of the module `random` draw from the host: its own state is that of the build."""
    for name in dir(random.Random):
        if not name.startswith("_") and hasattr(random, name):
            setattr(random, name, getattr(shared, name))
