"""Medians, spreads and ratios of a few repetitions."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Iterable, Optional


@dataclass(frozen=True)
class Spread:
    """What some repetitions came to."""

    median: float
    least: float
    most: float
    count: int

    @staticmethod
    def of(values: Iterable[Optional[float]]) -> Optional["Spread"]:
        """Of the values there are; nothing of none."""
        known = [float(value) for value in values if value is not None]
        if not known:
            return None
        return Spread(statistics.median(known), min(known), max(known), len(known))

    def divided_by(self, other: "Spread") -> Optional["Spread"]:
        """The ratio of medians, and between which the ratio of any two repetitions is."""
        if other.least <= 0:
            return None
        return Spread(
            self.median / other.median,
            self.least / other.most,
            self.most / other.least,
            min(self.count, other.count),
        )


def figure(value: float) -> str:
    """To three digits, with commas and without zeros that say nothing."""
    if value >= 99.95:
        return f"{value:,.0f}"
    text = f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def thousands(value: float) -> str:
    """A rate to three digits: 66,700."""
    if value < 1_000:
        return figure(value)
    scale = 10 ** (len(str(int(value))) - 3)
    return f"{round(value / scale) * scale:,}"


def duration(micros: float) -> str:
    """With the unit that makes it short."""
    if micros < 999.5:
        return f"{figure(micros)} µs"
    if micros < 999_500:
        return f"{figure(micros / 1e3)} ms"
    return f"{figure(micros / 1e6)} s"


def mebibytes(count: float) -> str:
    """Bytes in MiB, or in GiB from one on."""
    if count < 1 << 30:
        return f"{figure(count / (1 << 20))} MiB"
    return f"{count / (1 << 30):.2f} GiB"


def shown(spread: Optional[Spread], show=figure) -> str:
    """The median, and in parentheses the least and the most."""
    if spread is None:
        return ""
    if spread.count == 1:
        return show(spread.median)
    return f"{show(spread.median)} ({show(spread.least)} to {show(spread.most)})"
