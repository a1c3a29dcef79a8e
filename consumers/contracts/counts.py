"""What became of ticks, as blocks count it. Free of numpy."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class TickCounts:
    """Ticks (rows of quote batches) by what became of them; a record that cannot be read counts as one.

    Ticks in = in windows + duplicate + out of order + quarantined, for every block and so for every sum of them.

    Examples
    --------
    >>> (TickCounts(ticks_in=2, in_windows=2) + TickCounts(ticks_in=1, duplicate=1)).balance()
    True
    """

    ticks_in: int = 0
    in_windows: int = 0
    duplicate: int = 0
    out_of_order: int = 0
    quarantined: int = 0

    def balance(self) -> bool:
        """Return whether every tick that came in is accounted for."""
        accounted = self.in_windows + self.duplicate + self.out_of_order + self.quarantined
        return self.ticks_in == accounted

    def __add__(self, other: TickCounts) -> TickCounts:
        """Return the sum of both, count by count."""
        return TickCounts(  # field by field: `astuple` copies deeply, for thirty times as long
            self.ticks_in + other.ticks_in,
            self.in_windows + other.in_windows,
            self.duplicate + other.duplicate,
            self.out_of_order + other.out_of_order,
            self.quarantined + other.quarantined,
        )

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, as blocks hold them."""
        return {name: getattr(self, name) for name in _NAMES}


_NAMES = tuple(each.name for each in fields(TickCounts))
