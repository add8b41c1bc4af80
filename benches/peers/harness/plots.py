"""The pictures: how long calls take, what they cost in processor and memory, and who updates how
much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from .stats import duration, figure, thousands
from .svg import FAINT, GRID, INK, Axis, Frame, Svg, linear, logarithmic
from .summary import Results, Updates, median_round, spread_of_updates, valid_rounds

COLOURS = {"go": "#7b3fa0", "go-tuned": "#b98fd1", "go-slab": "#d16ba5", "rust": "#2b6cb0"}
DASHES = {"go-tuned": "6 3", "go-slab": "2 4"}
OTHERS_COLOURS = {"stream": "#2b6cb0", "redis": "#c0392b", "postgres": "#5b7f95"}
WIDTH, LEFT, RIGHT = 1000, 78, 972
PANEL, GAP, HEAD = 150, 62, 118

Series = List[Tuple[float, float]]
Values = Callable[[Dict], Series]


def quantile(name: str) -> Values:
    """A percentile, window by window, in microseconds."""

    def values(of_round: Dict) -> Series:
        windows = [one for one in of_round["report"]["windows"] if one["latency_us"]]
        return [(one["at_seconds"] + one["seconds"] / 2, one["latency_us"][name])
                for one in windows]

    return values


def sampled(name: str, unit: float = 1) -> Values:
    """What was sampled each second, in so large a unit."""
    return lambda of_round: [(row["at"], row[name] / unit) for row in of_round["series"]]


@dataclass(frozen=True)
class Panel:
    """One plot of several, one below the other."""

    title: str
    values: Values
    show: Callable[[float], str]
    is_logarithmic: bool = False
    has_collections: bool = False


def gibibytes(value: float) -> str:
    """On the axis of memory."""
    return f"{figure(value)} GiB"


OVERVIEW = (
    Panel("99 of 100 calls take at most", quantile("p99"), duration, True, True),
    Panel("the slowest call of each window", quantile("max"), duration, True, True),
    Panel("processor time of the server: cores in use", sampled("server"), figure, False, True),
    Panel("resident memory of the server", sampled("rss", 1 << 30), gibibytes),
)
PERCENTILES = tuple(
    Panel(title, quantile(name), duration, True, True)
    for name, title in (("p50", "half of the calls take at most"),
                        ("p99", "99 of 100 calls take at most"),
                        ("p99.9", "999 of 1,000 calls take at most"),
                        ("p99.99", "9,999 of 10,000 calls take at most"))
)


def over_time(results: Results, panels: Sequence[Panel]) -> str:
    """Panels of all sides over the seconds of a round. The round that is the median by p99.9 is
    drawn strongly, the other valid ones faintly."""
    height = HEAD + len(panels) * (PANEL + GAP) + 6
    svg = Svg(WIDTH, height)
    _head(svg, results)
    for place, panel in enumerate(panels):
        top = HEAD + 20 + place * (PANEL + GAP)
        _panel(svg, results, panel, top)
    svg.text(((LEFT + RIGHT) / 2, height - 8), "seconds since the warm-up", 11.5, FAINT, "middle")
    return svg.finish()


def _head(svg: Svg, results: Results) -> None:
    form = results["form"]
    svg.text((LEFT, 32), f"Read states at {thousands(results['rate'])} calls a second, "
             "one core each", 18, bold=True)
    what = (f"{form['entries']:,} states resident, {form['users'] * form['channels']:,} keys, "
            f"mix {results['mix']}; {results['machine']['processor']}; {results['date'][:10]}")
    svg.text((LEFT, 54), what, 12.5, FAINT)
    x = LEFT
    for name, title in _titles(results):
        svg.line([(x, 79), (x + 30, 79)], COLOURS[name], 3, DASHES.get(name, ""))
        svg.text((x + 38, 83), title, 13, INK, bold=True)
        x += 38 + 8 * len(title) + 30
    svg.text((LEFT, 104), "strong: the median round by p99.9; faint: the others", 11.5, FAINT)
    if any(one["collections"] for one in results["rounds"]):
        x = LEFT + 320
        svg.line([(x, 95), (x, 105)], COLOURS["go"], 2)
        svg.text((x + 8, 104), "a garbage collection of Go", 11.5, FAINT)
        svg.line([(x + 180, 91), (x + 180, 109)], INK, 2)
        svg.text((x + 188, 104), "forced after two minutes", 11.5, FAINT)


def _titles(results: Results) -> List[Tuple[str, str]]:
    return [(name, results["titles"][name]) for name in COLOURS if name in results["titles"]]


def _panel(svg: Svg, results: Results, panel: Panel, top: float) -> None:
    of_side = {name: valid_rounds(results, name) for name, _ in _titles(results)}
    everything = [point for rounds in of_side.values() for one in rounds
                  for point in panel.values(one)]
    scale = logarithmic if panel.is_logarithmic else linear
    up = scale([value for _, value in everything], top + PANEL, top)
    across = Axis(0, max(results["form"]["open_seconds"], 1), LEFT, RIGHT)
    frame = Frame(LEFT, top, RIGHT, top + PANEL, across, up)
    frame.draw(svg, panel.title, figure, panel.show)
    for name, rounds in of_side.items():
        strong = median_round(rounds)
        for one in sorted(rounds, key=lambda one: one is strong):
            _curve(svg, frame, panel, name, one, one is strong)
        if strong and panel.has_collections and name == "go":
            _collections(svg, frame, strong)


def _curve(
    svg: Svg, frame: Frame, panel: Panel, name: str, of_round: Dict, is_strong: bool
) -> None:
    points = frame.points(panel.values(of_round))
    if is_strong:
        svg.line(points, COLOURS[name], 2.2, DASHES.get(name, ""))
    else:
        svg.line(points, COLOURS[name], 1.1, "", 0.35)


def _collections(svg: Svg, frame: Frame, of_round: Dict) -> None:
    for collection in of_round["collections"]:
        x, forced = frame.across.px(collection["at"]), collection["forced"]
        reach = 9 if forced else 5
        svg.line([(x, frame.bottom - reach), (x, frame.bottom - 1)],
                 INK if forced else COLOURS["go"], 2 if forced else 1.4)


BAR, STEP, NAMES_WIDTH = 16, 27, 380


def updates(results: Results) -> Optional[str]:
    """Updates a second on one core; nothing where none were measured."""
    spreads = spread_of_updates(results)
    if not spreads:
        return None
    groups = [(words, [one for one in spreads if one.row["durable"] == durable])
              for durable, words in ((False, "in memory"), (True, "on the disk when answered"))]
    height = 96 + sum(34 + STEP * len(rows) for _, rows in groups if rows) + 34
    svg = Svg(WIDTH, height)
    svg.text((20, 32), "Updates a second, one core for the server", 18, bold=True)
    what = f"{results['form']['other_keys']:,} keys; {results['machine']['processor']}; "
    svg.text((20, 54), what + f"{results['date'][:10]}; lines: least to most", 12.5, FAINT)
    axis = linear([one.spread.most for one in spreads], NAMES_WIDTH, RIGHT - 60)
    for tick in axis.ticks():
        x = axis.px(tick)
        svg.line([(x, 74), (x, height - 34)], GRID)
        svg.text((x, height - 16), thousands(tick), 11.5, FAINT, "middle")
    y = 84.0
    for words, rows in groups:
        if rows:
            svg.text((20, y + 6), words, 13, FAINT, bold=True)
            y = _bars(svg, axis, rows, y + 20) + 14
    return svg.finish()


def _bars(svg: Svg, axis: Axis, rows: Sequence[Updates], y: float) -> float:
    for one in sorted(rows, key=lambda one: -one.spread.median):
        spread = one.spread
        family = one.row["name"].partition("-")[0]
        colour = COLOURS["go"] if one.row["name"] == "stream-go" else OTHERS_COLOURS[family]
        svg.text((NAMES_WIDTH - 10, y + BAR - 4), one.row["title"], 12, INK, "end")
        svg.bar((NAMES_WIDTH, y), axis.px(spread.median) - NAMES_WIDTH, BAR, colour)
        middle = y + BAR / 2
        svg.line([(axis.px(spread.least), middle), (axis.px(spread.most), middle)], INK, 1.2)
        mark = "at least " if one.at_least else ""
        svg.text((axis.px(spread.most) + 7, y + BAR - 4), mark + thousands(spread.median), 12)
        y += STEP
    return y
