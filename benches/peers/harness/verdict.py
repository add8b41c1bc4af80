"""Whether a round measured what it was to measure. What did not is told, never hidden."""

from __future__ import annotations

from typing import Callable, Dict, List

GENERATOR_MAX = 0.9
"""Of its one core. Beyond it the generator may have been what was measured."""
RATE_SHORT_MAX = 0.01
"""Of the calls that were to be made a second."""
REPEATS_MAX = 2
"""How often an invalid round is measured again."""


def of_any(outcome: Dict, foreign_max: float) -> List[str]:
    """What is wrong with any round."""
    report, problems = outcome["report"], []
    if report["errors"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report["errors"].items())
        problems.append(f"errors: {kinds}")
    if report["interrupted"]:
        problems.append("interrupted")
    foreign = outcome["foreign"]
    if foreign is None:
        problems.append("no samples of what the machine did")
    elif foreign > foreign_max:
        problems.append(f"others used {foreign:.2f} cores")
    return problems


def of_closed(outcome: Dict, foreign_max: float) -> List[str]:
    """Of a round that looks for the maximum."""
    return of_any(outcome, foreign_max)


def is_bound_by_generator(outcome: Dict) -> bool:
    """Whether the server could do more than the generator asked for."""
    generator = outcome["report"]["generator"]
    return generator is not None and generator["cpu_cores"] > GENERATOR_MAX


def of_open(outcome: Dict, foreign_max: float) -> List[str]:
    """Of a round at a rate."""
    report, problems = outcome["report"], of_any(outcome, foreign_max)
    if is_bound_by_generator(outcome):
        used = report["generator"]["cpu_cores"]
        problems.append(f"the generator used {used:.2f} of its core")
    if report["unsent_calls"]:
        problems.append(f"{report['unsent_calls']} calls were never sent")
    offered, answered = report["calls_per_second_offered"], report["calls_per_second"]
    if answered < offered * (1 - RATE_SHORT_MAX):
        problems.append(f"{answered:.0f} of {offered:.0f} calls a second were answered")
    return problems


def attempts(measure: Callable[[int], Dict]) -> List[Dict]:
    """Measures until it is valid, but not too often; all that was measured. What is called is told
    which attempt it is, from 1 on."""
    outcomes: List[Dict] = []
    for attempt in range(1, REPEATS_MAX + 2):
        outcomes.append(measure(attempt))
        if not outcomes[-1]["problems"]:
            break
    return outcomes
