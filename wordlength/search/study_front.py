"""The front of a study as a value: its members in order, and those with a name."""

from __future__ import annotations

from wordlength.search.front import FrontPoint, knee, pick


class Front(tuple[FrontPoint, ...]):
    """Non-dominated trials, cheapest first. What picks one raises ValueError if there is none."""

    __slots__ = ()

    @property
    def knee(self) -> FrontPoint:
        """Beyond it, memory buys less improvement than on average; see `front.knee`."""
        return knee(self)

    @property
    def best(self) -> FrontPoint:
        """The best first quality."""
        return self.pick("best")

    @property
    def smallest(self) -> FrontPoint:
        """The least first cost."""
        return self.pick("smallest")

    def pick(self, rule: str) -> FrontPoint:
        """`knee`, `best`, `smallest`, `trial=N`, `max-bytes=120kB`; see `front.pick`."""
        return pick(self, rule)

    def _repr_html_(self) -> str:
        from wordlength.search.html import front_html

        return front_html(self)
