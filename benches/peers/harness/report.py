"""The report in Markdown: tables, what was measured how, what was not equal."""

from __future__ import annotations

from typing import Callable, List, Optional, Tuple

from .options import PEERS
from .stats import Spread, duration, figure, mebibytes, shown, thousands
from .summary import (CPU, CPU_PEAK, FOREIGN, GENERATOR, LAG, LATENCIES, MEMORY, WORST_WINDOW,
                      Metric, Results, Updates, cost_us, has_valid_round, is_at_least, maximum,
                      spread, spread_of_updates, valid_rounds)

NOTES = PEERS / "notes.md"
RUST = "rust"
RATIO = ("Each ratio is that of the fastest `ApplyStream` that is as durable when it answers; \"at "
         "least\": the generator was at its end, not the server.")

Row = Tuple[str, Callable[[str], Optional[Spread]], Callable[[float], str], Optional[bool]]


def micros(value: float) -> str:
    """Processor time of a call."""
    return f"{value:.1f} µs"


def rows(results: Results) -> List[Row]:
    """Name, value of a side, how it is shown, and whether more of it is better; where it is no
    merit of a side, neither."""

    def of(metric: Metric) -> Callable[[str], Optional[Spread]]:
        return lambda side: spread(results, side, metric)

    found: List[Row] = [
        ("calls a second at most", lambda side: maximum(results, side), thousands, True),
        ("processor time a call, at most load", lambda side: cost_us(results, side), micros, False),
    ]
    found += [(metric.name, of(metric), duration, False) for metric in LATENCIES]
    found += [
        (WORST_WINDOW.name, of(WORST_WINDOW), duration, False),
        (CPU.name, of(CPU), figure, False),
        (CPU_PEAK.name, of(CPU_PEAK), figure, False),
        (MEMORY.name, of(MEMORY), mebibytes, False),
        (LAG.name, of(LAG), duration, None),
        (GENERATOR.name, of(GENERATOR), figure, None),
        (FOREIGN.name, of(FOREIGN), figure, None),
    ]
    return found


def unary_table(results: Results) -> str:
    """All figures of all sides, and the ratio of each peer to readstates."""
    sides = list(results["titles"])
    peers = [side for side in sides if side != RUST] if RUST in sides else []
    head = [""] + [results["titles"][side] for side in sides]
    head += [f"{results['titles'][peer]} / Rust" for peer in peers]
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for name, value, show, more in rows(results):
        cells = [name]
        for side in sides:
            mark = "at least " if name.startswith("calls") and is_at_least(results, side) else ""
            cells.append(mark + shown(value(side), show) if value(side) else "")
        for peer in peers:
            ratio = None if more is None else _ratio(value(peer), value(RUST))
            cells.append(shown(ratio))
        if any(cells[1:]):
            lines.append(_line(cells))
    return "\n".join(lines)


def _ratio(one: Optional[Spread], other: Optional[Spread]) -> Optional[Spread]:
    return one.divided_by(other) if one and other else None


def _line(cells: List[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def better_peers(results: Results) -> List[str]:
    """Where a peer's median is better than that of readstates."""
    found = []
    for side, title in results["titles"].items():
        for name, value, show, more in rows(results):
            theirs, ours = value(side), value(RUST)
            if side == RUST or more is None or theirs is None or ours is None:
                continue
            if (theirs.median > ours.median) if more else (theirs.median < ours.median):
                found.append(f"{title}, {name}: {show(theirs.median)}, readstates "
                             f"{show(ours.median)}")
    return found + _better_updates(results)


def _better_updates(results: Results) -> List[str]:
    of_all, found = spread_of_updates(results), []
    for one in of_all:
        best = _best_of_ours(of_all, one)
        if best and one.spread.median > best.spread.median:
            found.append(f"{one.row['title']}: {thousands(one.spread.median)} updates a second, "
                         f"readstates {thousands(best.spread.median)}")
    return found


def _is_ours(one: Updates) -> bool:
    return one.row["name"].startswith("stream-") and one.row["name"] != "stream-go"


def _best_of_ours(of_all: List[Updates], peer: Updates) -> Optional[Updates]:
    """The fastest ApplyStream that is as durable as what a peer does."""
    ours = [one for one in of_all if _is_ours(one) and one.row["durable"] == peer.row["durable"]]
    return None if _is_ours(peer) else max(ours, key=lambda one: one.spread.median, default=None)


def _ratio_of_updates(of_all: List[Updates], peer: Updates) -> str:
    best = _best_of_ours(of_all, peer)
    if best is None:
        return ""
    marks = {(True, False): "at least ", (False, True): "at most "}
    mark = marks.get((best.at_least, peer.at_least), "")
    return mark + shown(best.spread.divided_by(peer.spread))


def updates_table(results: Results) -> str:
    """Updates a second of everything that makes updates."""
    lines = [_line(["", "updates a second", "readstates / this", "server, µs an update",
                    "generator, cores", "durable when answered"]),
             "| --- | ---: | ---: | ---: | ---: | --- |"]
    of_all = spread_of_updates(results)
    for one in of_all:
        mark = "at least " if one.at_least else ""
        invalid = f" **invalid: {'; '.join(sorted(set(one.problems)))}**" if one.problems else ""
        lines.append(_line([one.row["title"], mark + shown(one.spread, thousands) + invalid,
                            _ratio_of_updates(of_all, one), shown(one.server_us),
                            shown(one.generator_cores), "yes" if one.row["durable"] else "no"]))
    return "\n".join(lines)


def invalid_rounds(results: Results) -> List[str]:
    """Every round that did not measure what it was to measure, and why."""
    found = [f"round {one['round']}, attempt {one['attempt']}, {results['titles'][one['side']]}: "
             + "; ".join(one["problems"]) for one in results["rounds"] if one["problems"]]
    found += [f"maximum of {results['titles'][side]}: " + "; ".join(one["problems"])
              for side, of_side in results["maxima"].items() for one in of_side
              if one["problems"]]
    return found + [f"{row['title']}: {'; '.join(row['problems'])}"
                    for row in results["others"] if row["problems"]]


def collections(results: Results) -> List[str]:
    """What the garbage collector of each Go side did in the rounds that count."""
    found = []
    for side, title in results["titles"].items():
        rounds = valid_rounds(results, side)
        if side == RUST or not rounds:
            continue
        of_all = [one for of_round in rounds for one in of_round["collections"]]
        forced = sum(one["forced"] for one in of_all)
        minutes = sum(of_round["report"]["seconds"] for of_round in rounds) / 60
        line = f"{title}: {len(of_all)} in {minutes:.1f} minutes, {forced} of them forced"
        if of_all:
            marking = Spread.of(one["marking_ms"] for one in of_all)
            stopped = Spread.of(one["stopped_ms"] for one in of_all)
            line += (f"; marked for {shown(marking)} ms beside the calls, stopped them for "
                     f"{shown(stopped)} ms; heap up to "
                     f"{max(one['heap_mb_before'] for one in of_all):,} MB")
        found.append(line)
    return found


def markdown(results: Results) -> str:
    """The whole report."""
    parts = ["# readstates beside Go, Redis and PostgreSQL", _about(results)]
    if results["rounds"]:
        parts += _unary(results)
    if results["others"]:
        parts += ["## Updates a second, one core for the server",
                  "![updates a second](updates.svg)", RATIO, updates_table(results)]
    parts += ["## Where a peer is better", _list(better_peers(results)) or "Nowhere, here."]
    parts += ["## What was not valid", _list(invalid_rounds(results)) or "Every round was valid."]
    if results["missing"]:
        missing = [f"{name}: {why}" for name, why in results["missing"].items()]
        parts += ["## What was left out", _list(missing)]
    parts += [NOTES.read_text().strip(), "## Commands", _commands(results)]
    return "\n\n".join(parts) + "\n"


def _unary(results: Results) -> List[str]:
    missing = [title for side, title in results["titles"].items()
               if not has_valid_round(results, side)]
    warning = [f"**No round of {', '.join(missing)} was valid; the figures are of all.**"]
    why = "half of what the slowest can do" if results["maxima"] else "as was asked for"
    return [
        "## Unary calls", *(warning if missing else []),
        f"Every side at {thousands(results['rate'])} calls a second, {why}; medians of the rounds "
        "(least to most). Latency counts from when a call was meant to be sent. A ratio's spread "
        "is that of any two rounds.",
        "![over time](comparison.svg)", unary_table(results), "![percentiles](percentiles.svg)",
        "### Garbage collections", _list(collections(results)) or "None.",
    ]


def _about(results: Results) -> str:
    machine, form = results["machine"], results["form"]
    lines = [
        f"Measured {results['date']} by `{results['command']}`, form {form['name']}: "
        f"{form['entries']:,} states resident of {form['users'] * form['channels']:,} keys, mix "
        f"{results['mix']}, rounds: {form['rounds']}, of {form['open_seconds']} s each.",
        f"Machine: {machine['processor']}, {machine['processors']} processors, "
        f"{machine['memory']}, Linux {machine['kernel']}, huge pages {machine['huge_pages']}; "
        f"server on processor {results['cores']['server']}, generator on "
        f"{results['cores']['generator']}; files on {results['files']}.",
        "Versions: " + "; ".join(results["versions"].values())
        + f"; commit {machine['commit']}.",
    ]
    return "\n\n".join(lines)


def _commands(results: Results) -> str:
    lines = list(results["commands"].values())
    seen = {row["name"]: row["command"] for row in results["others"]}
    return "```console\n" + "\n".join([*lines, *seen.values()]) + "\n```"


def unequal() -> str:
    """The list that the notes begin with."""
    return NOTES.read_text().split("\n\n")[1]


def _list(lines: List[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def readme(results: Results) -> str:
    """The section for the project's README."""
    parts = ["## Against Go, and against what one would use instead"]
    if results["rounds"]:
        picture = "docs/comparison/comparison.svg"
        parts += [f"![Latency, processor and memory of Go and Rust]({picture})",
                  "The same read states in Go and in Rust, at "
                  f"{thousands(results['rate'])} calls a second, one core each:",
                  unary_table(results)]
    if results["others"]:
        parts += [RATIO, updates_table(results)]
    parts += ["What was not equal, in short:", unequal(),
              "Where a peer is better:", _list(better_peers(results)) or "Nowhere, here.",
              f"`{results['command']}` repeats it; [the report](docs/comparison/report.md) says on "
              "what it was measured, and all of what was not equal."]
    return "\n\n".join(parts) + "\n"
