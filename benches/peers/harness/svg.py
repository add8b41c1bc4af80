"""A picture in the words of SVG, and the axes of a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Callable, List, Sequence, Tuple
from xml.sax.saxutils import escape

FONT = "Helvetica, Arial, sans-serif"
INK, FAINT, GRID, FRAME = "#1f2933", "#5f6b7a", "#e6e9ee", "#b8c0cc"

Point = Tuple[float, float]


@dataclass
class Svg:
    """A picture under work, on white paper of so many pixels."""

    width: int
    height: int
    parts: List[str] = field(default_factory=list)

    def text(
        self, place: Point, words: str, size: float = 13, colour: str = INK,
        anchor: str = "start", bold: bool = False,
    ) -> None:
        """Words that begin (start), end (end) or are centred (middle) at their place."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" font-size="{size}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
        )

    def line(
        self, points: Sequence[Point], colour: str, width: float = 1, dashes: str = "",
        opacity: float = 1,
    ) -> None:
        """Points joined; one alone is a dot, none is nothing."""
        if not points:
            return
        places = list(points) if len(points) > 1 else [points[0], points[0]]
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        faded = f' stroke-opacity="{opacity}"' if opacity < 1 else ""
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-linejoin="round" stroke-linecap="round"{dashed}{faded}/>'
        )

    def bar(self, place: Point, width: float, height: float, colour: str) -> None:
        """A filled area."""
        self.parts.append(
            f'<rect x="{place[0]:.1f}" y="{place[1]:.1f}" width="{max(width, 0):.1f}" '
            f'height="{height:.1f}" rx="2" fill="{colour}"/>'
        )

    def finish(self) -> str:
        """The whole file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
            f'height="{self.height}" viewBox="0 0 {self.width} {self.height}" '
            f'font-family="{FONT}">\n'
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>\n'
        )
        return head + "\n".join(self.parts) + "\n</svg>\n"


@dataclass(frozen=True)
class Axis:
    """Values between two pixels, linear or logarithmic."""

    low: float
    high: float
    from_px: float
    to_px: float
    logarithmic: bool = False

    def px(self, value: float) -> float:
        """Where a value is; what is beyond the axis is at its end."""
        held = min(max(value, self.low), self.high)
        if self.logarithmic:
            part = math.log(held / self.low) / math.log(self.high / self.low)
        else:
            part = (held - self.low) / (self.high - self.low)
        return self.from_px + part * (self.to_px - self.from_px)

    def ticks(self, count: int = 5) -> List[float]:
        """Round values on the axis."""
        return _decades(self.low, self.high) if self.logarithmic else _steps(
            self.low, self.high, count)


def linear(values: Sequence[float], from_px: float, to_px: float) -> Axis:
    """From 0 to a little above the largest value."""
    return Axis(0, max([*values, 1e-9]) * 1.08, from_px, to_px)


def logarithmic(values: Sequence[float], from_px: float, to_px: float) -> Axis:
    """From the round value at or below the smallest to that at or above the largest."""
    known = [value for value in values if value > 0] or [1.0]
    return Axis(_floor(min(known) * 0.95), _ceiling(max(known) * 1.02), from_px, to_px, True)


ROUND = (1, 2, 5, 10)


def _floor(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return max(step * decade for step in ROUND if step * decade <= value * 1.000001)


def _ceiling(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    above = min((step * decade for step in ROUND if step * decade >= value), default=10 * decade)
    return above


def _decades(low: float, high: float) -> List[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if high / low < 120 else (1,)
    ticks = [step * 10.0 ** power for power in range(first, last + 1) for step in steps]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def _steps(low: float, high: float, count: int) -> List[float]:
    raw = (high - low) / max(count, 1)
    decade = 10.0 ** math.floor(math.log10(raw))
    step = min(one * decade for one in ROUND if one * decade >= raw * 0.999)
    return [low + index * step for index in range(int((high - low) / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Frame:
    """The area of one plot, with its axes."""

    left: float
    top: float
    right: float
    bottom: float
    across: Axis
    up: Axis

    def draw(
        self, svg: Svg, title: str, across: Callable[[float], str], up: Callable[[float], str]
    ) -> None:
        """Grid, figures and title."""
        svg.text((self.left, self.top - 9), title, 13, bold=True)
        for tick in self.up.ticks():
            y = self.up.px(tick)
            svg.line([(self.left, y), (self.right, y)], GRID)
            svg.text((self.left - 8, y + 4), up(tick), 11.5, FAINT, "end")
        for tick in self.across.ticks(8):
            x = self.across.px(tick)
            svg.line([(x, self.bottom), (x, self.bottom + 4)], FRAME)
            svg.text((x, self.bottom + 17), across(tick), 11.5, FAINT, "middle")
        svg.line([(self.left, self.bottom), (self.right, self.bottom)], FRAME)

    def points(self, values: Sequence[Point]) -> List[Point]:
        """Where values are."""
        return [(self.across.px(x), self.up.px(y)) for x, y in values]
