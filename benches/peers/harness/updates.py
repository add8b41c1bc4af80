"""Updates a second on one core, whoever serves them: what one measurement is, and how what was
used is counted."""

from __future__ import annotations

import resource
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Tuple

from . import proc, verdict

PATIENCE_SECONDS = 900


class UpdateError(Exception):
    """A program of others did not do what it was asked for."""


@dataclass(frozen=True)
class Case:
    """Something that makes updates."""

    name: str
    title: str
    durable: bool
    """Whether an update is on the disk when it is answered."""


@dataclass
class Measured:
    """One repetition of a case."""

    updates_per_second: float
    server_cores: float
    generator_cores: float
    foreign: float
    problems: List[str] = field(default_factory=list)

    def row(self, case: Case, command: str) -> Dict:
        """As it stands in the results."""
        return {
            "name": case.name,
            "title": case.title,
            "durable": case.durable,
            "updates_per_second": round(self.updates_per_second),
            "server_us": round(1e6 * self.server_cores / max(self.updates_per_second, 1), 3),
            "server_cores": self.server_cores,
            "generator_cores": self.generator_cores,
            "foreign": self.foreign,
            "at_least": self.generator_cores > verdict.GENERATOR_MAX
            and self.server_cores < verdict.GENERATOR_MAX,
            "problems": self.problems,
            "command": command,
        }


@dataclass(frozen=True)
class Used:
    """Processors used while a command ran."""

    server_cores: float
    generator_cores: float
    foreign: float


def watched(
    server: int, command: List[str], environment: Dict[str, str], folder: Path
) -> Tuple[str, Used]:
    """Runs a generator to its end. Returns what it said, and what it and the server used."""
    before, begun = _times(server), time.monotonic()
    outcome = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder,
                             timeout=PATIENCE_SECONDS)
    seconds = max(time.monotonic() - begun, 1e-9)
    if outcome.returncode != 0:
        raise UpdateError(f"{Path(command[0]).name} failed: {outcome.stderr[-1000:]}")
    spent = [(now - then) / seconds for then, now in zip(before, _times(server))]
    of_server, of_generator, own, of_all, stolen = spent
    foreign = max(0.0, of_all - of_server - of_generator - own + stolen)
    return outcome.stdout, Used(*(round(cores, 3) for cores in (of_server, of_generator, foreign)))


def _times(server: int) -> Tuple[float, float, float, float, float]:
    machine = proc.parse_machine(Path("/proc/stat").read_text())
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (proc.tree_cpu_seconds(server), children.ru_utime + children.ru_stime,
            time.process_time(), machine.of_processes, machine.stolen)


def measured(rate: float, used: Used, foreign_max: float) -> Measured:
    """A repetition, with what is wrong with it."""
    problems = []
    if used.foreign > foreign_max:
        problems.append(f"others used {used.foreign:.2f} cores")
    return Measured(rate, used.server_cores, used.generator_cores, used.foreign, problems)


def told(row: Dict) -> str:
    """A line on a repetition."""
    bound = ", bound by the generator" if row["at_least"] else ""
    wrong = f"  INVALID: {'; '.join(row['problems'])}" if row["problems"] else ""
    return f"{row['title']}: {row['updates_per_second']:,} updates a second{bound}{wrong}"
