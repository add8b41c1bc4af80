"""Results in short: which rounds count, and what they came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

from .stats import Spread

Results = Dict[str, Any]

TAIL = "p99.9"


def valid_rounds(results: Results, side: str) -> List[Dict]:
    """The rounds of a side that count: the valid ones. Where none is, all, which the report
    says."""
    of_side = [one for one in results["rounds"] if one["side"] == side]
    return [one for one in of_side if not one["problems"]] or of_side


def has_valid_round(results: Results, side: str) -> bool:
    """Whether any round of a side is valid."""
    return any(one["side"] == side and not one["problems"] for one in results["rounds"])


def median_round(rounds: List[Dict]) -> Optional[Dict]:
    """The one in the middle by its tail; of two in the middle the worse."""
    known = [one for one in rounds if one["report"]["latency_us"]]
    if not known:
        return None
    ordered = sorted(known, key=lambda one: one["report"]["latency_us"][TAIL])
    return ordered[len(ordered) // 2]


@dataclass(frozen=True)
class Metric:
    """A figure of a round, and whether more of it is better."""

    name: str
    of_round: Callable[[Dict], Optional[float]]


def _latency(name: str) -> Metric:
    return Metric(name, lambda one: (one["report"]["latency_us"] or {}).get(name))


def _worst_window(of_round: Dict) -> Optional[float]:
    tails = [one["latency_us"]["p99"] for one in of_round["report"]["windows"] if one["latency_us"]]
    return max(tails) if tails else None


def _peak_cpu(of_round: Dict) -> Optional[float]:
    return max((row["server"] for row in of_round["series"]), default=None)


LATENCIES = tuple(_latency(name) for name in ("p50", "p90", "p99", "p99.9", "p99.99", "max"))
WORST_WINDOW = Metric("p99 of the worst window", _worst_window)
CPU = Metric("cores of the server", lambda one: (one["report"]["server"] or {}).get("cpu_cores"))
CPU_PEAK = Metric("cores of the server, most in a second", _peak_cpu)
MEMORY = Metric("resident memory, most",
                lambda one: (one["report"]["server"] or {}).get("rss_bytes_max"))

LAG = Metric("sent late by the generator, p99.9",
             lambda one: (one["report"].get("lag_us") or {}).get(TAIL))
GENERATOR = Metric("cores of the generator",
                   lambda one: (one["report"].get("generator") or {}).get("cpu_cores"))
FOREIGN = Metric("cores of everybody else", lambda one: one["foreign"])


def spread(results: Results, side: str, metric: Metric) -> Optional[Spread]:
    """A metric over the rounds of a side that count."""
    return Spread.of(metric.of_round(one) for one in valid_rounds(results, side))


def maximum(results: Results, side: str) -> Optional[Spread]:
    """Calls a second at most, of the valid closed loops, or of all where none is."""
    return Spread.of(one["report"]["calls_per_second"] for one in _closed(results, side))


def cost_us(results: Results, side: str) -> Optional[Spread]:
    """Processor time of the server for a call, in closed loops."""
    servers = [one["report"].get("server") or {} for one in _closed(results, side)]
    return Spread.of(server.get("cpu_us_per_call") for server in servers)


def is_at_least(results: Results, side: str) -> bool:
    """Whether the generator could not ask for more."""
    return any(one["at_least"] for one in _closed(results, side))


def _closed(results: Results, side: str) -> List[Dict]:
    of_side = results["maxima"].get(side, [])
    return [one for one in of_side if not one["problems"]] or of_side


@dataclass(frozen=True)
class Updates:
    """All repetitions of a case."""

    row: Dict
    """The first, for what they have in common."""
    spread: Spread
    server_us: Spread
    generator_cores: Optional[Spread]
    at_least: bool
    problems: List[str]


def spread_of_updates(results: Results) -> List[Updates]:
    """Of each case, in the order in which they were first measured."""
    cases: Dict[str, List[Dict]] = {}
    for row in results["others"]:
        cases.setdefault(row["name"], []).append(row)
    found = []
    for rows in cases.values():
        valid = [row for row in rows if not row["problems"]]
        counted = valid or rows
        rates = Spread.of(row["updates_per_second"] for row in counted)
        costs = Spread.of(row["server_us"] for row in counted)
        problems = [] if valid else [problem for row in rows for problem in row["problems"]]
        if rates and costs:
            at_least = any(row["at_least"] for row in counted)
            generator = Spread.of(row.get("generator_cores") for row in counted)
            found.append(Updates(rows[0], rates, costs, generator, at_least, problems))
    return found
