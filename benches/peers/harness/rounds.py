"""Unary calls: the maximum of each side first, then all sides in turn at one rate."""

from __future__ import annotations

from functools import partial
from typing import Callable, Dict, List

from . import verdict
from .load import Generator, keys
from .options import Options
from .sides import Server, Side
from .summary import Results, maximum

CONCURRENCY = 256
# Of each side alike: as many as readstates takes of so few connections. One may have no more calls
# under way than it leaves to all others, of 8,192 in all (max-in-flight), and 1,024 at most
# (max-concurrent-streams). The peer in Go has no bound.
CONCURRENCY_OPEN = 4_096
CONNECTIONS = 4

Say = Callable[[str], None]


class Rounds:
    """Measures the sides of unary calls."""

    def __init__(self, options: Options, generator: Generator, core: int, say: Say) -> None:
        self.options, self.form = options, options.form
        self.generator, self.core, self.say = generator, core, say

    def words(self) -> List[str]:
        """The flags that every run shares."""
        return [*keys(self.form.users, self.form.channels), "--mix", self.options.mix,
                "--connections", str(CONNECTIONS)]

    def started(self, side: Side) -> Server:
        """A server that holds as many states as it may."""
        server = Server(side, self.core)
        try:
            self.generator.fill(server, self.words())
        except BaseException:
            server.stop()
            raise
        return server

    def warm_up(self) -> int:
        """Until what the filling left is written."""
        return self.form.flush_after + self.form.warm_up

    def maxima(self, side: Side, outcomes: List[Dict]) -> None:
        """Closed loops against one side, one after the other, added to `outcomes` as they come."""
        words = [*self.words(), "--concurrency", str(CONCURRENCY)]
        with self.started(side) as server:
            for _ in range(self.form.maximum_repeats):

                def measure(_attempt: int) -> Dict:
                    warm_up = self.form.warm_up if outcomes else self.warm_up()
                    seconds = self.form.maximum_seconds
                    return self._closed(side, self.generator.run(server, words, warm_up, seconds))

                outcomes += verdict.attempts(measure)

    def _closed(self, side: Side, outcome: Dict) -> Dict:
        report = outcome["report"]
        problems = verdict.of_closed(outcome, self.options.foreign_max)
        at_least = verdict.is_bound_by_generator(outcome)
        bound = ", bound by the generator" if at_least else ""
        self.say(f"{side.title}: {report['calls_per_second']:.0f} calls a second at most"
                 f"{_cost(report)}{bound}" + _told(problems))
        # What a closed loop says of latency is of no use to anybody.
        report["windows"] = []
        return {**outcome, "series": [], "problems": problems, "at_least": at_least}

    def rate(self, results: Results) -> float:
        """Half of what the slowest side can do."""
        if self.options.rate:
            return self.options.rate
        spreads = [maximum(results, side) for side in results["maxima"]]
        return float(round(min(spread.median for spread in spreads if spread) / 2))

    def open_rounds(self, sides: List[Side], rate: float, measured: List[Dict]) -> None:
        """All sides in turn, as often as the form has it, added to `measured` as they come. An
        invalid round is measured again, and kept all the same."""
        for number in range(1, self.form.rounds + 1):
            for side in sides:
                measured += verdict.attempts(partial(self._open, side, rate, number))

    def _open(self, side: Side, rate: float, number: int, attempt: int) -> Dict:
        words = [*self.words(), "--rate", f"{rate:.10g}", "--concurrency", str(CONCURRENCY_OPEN),
                 "--window", f"{self.form.window}s"]
        with self.started(side) as server:
            outcome = self.generator.run(server, words, self.warm_up(), self.form.open_seconds)
        problems = verdict.of_open(outcome, self.options.foreign_max)
        latency = outcome["report"]["latency_us"] or {}
        again = f", attempt {attempt}" if attempt > 1 else ""
        self.say(f"round {number}{again}, {side.title}: p50 {latency.get('p50')} us, "
                 f"p99 {latency.get('p99')} us, max {latency.get('max')} us" + _told(problems))
        return {"side": side.name, "round": number, "attempt": attempt, "problems": problems,
                **outcome}


def _cost(report: Dict) -> str:
    # A server that died has used nothing that could still be read.
    cost = (report.get("server") or {}).get("cpu_us_per_call")
    return "" if cost is None else f", {cost:.1f} us of the server each"


def _told(problems: List[str]) -> str:
    return f"  INVALID: {'; '.join(problems)}" if problems else ""
