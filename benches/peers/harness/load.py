"""The load: `readstates bench` against one of the servers, on a core of its own."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

from . import gctrace, proc
from .sides import Server, environment

# Beyond what a run takes by itself: a server that hangs ends it.
PATIENCE_SECONDS = 1_800


class LoadError(Exception):
    """The generator could not do its work."""


@dataclass(frozen=True)
class Generator:
    """Where the load comes from."""

    binary: Path
    core: int

    def command(self, server: Server, words: List[str]) -> List[str]:
        """The command line of a run."""
        return ["taskset", "-c", str(self.core), str(self.binary), "bench", "--json",
                "--target", f"http://{server.address}", "--pid", str(server.pid), *words]

    def run(self, server: Server, words: List[str], warm_up: int, seconds: int) -> Dict:
        """Runs the generator and returns its report, with what the machine did meanwhile."""
        timed = [*words, "--warm-up", f"{warm_up}s", "--duration", f"{seconds}s"]
        begun = time.monotonic()
        process = subprocess.Popen(self.command(server, timed), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=environment({}), text=True)
        sampler = proc.Sampler(server.pid, process.pid)
        sampler.start()
        try:
            told, complaints = process.communicate(timeout=PATIENCE_SECONDS + warm_up + seconds)
        finally:
            if process.poll() is None:
                process.kill()
            moments = sampler.stop()
        return _outcome(told, complaints, moments, server, begun + warm_up)

    def fill(self, server: Server, words: List[str]) -> None:
        """Makes every key resident that finds room: acks in batches of a thousand."""
        command = self.command(server, [*words, "--fill", "--warm-up", "0s", "--duration", "1s"])
        outcome = subprocess.run(command, capture_output=True, env=environment({}), text=True,
                                 timeout=PATIENCE_SECONDS)
        # The keys are there before the loop that always follows, of which calls may be refused.
        if not _is_json(outcome.stdout):
            raise LoadError(f"the keys could not be filled: {outcome.stderr or outcome.stdout}")


def _is_json(told: str) -> bool:
    try:
        json.loads(told)
    except ValueError:
        return False
    return True


def _outcome(
    told: str, complaints: str, moments: List[proc.Moment], server: Server, measured_from: float
) -> Dict:
    try:
        report = json.loads(told)
    except ValueError as error:
        raise LoadError(f"the generator did not report: {complaints or told}") from error
    rows = proc.series(moments, measured_from)
    inside = [row for row in rows if row["at"] <= report["seconds"] + 0.5]
    collections = gctrace.within(server.log(), server.started, measured_from, report["seconds"])
    return {"report": report, "series": inside, "collections": collections,
            "foreign": mean([row["foreign"] for row in inside])}


def mean(values: List[float]) -> Optional[float]:
    """The mean, to three digits after the point; nothing of nothing."""
    return round(sum(values) / len(values), 3) if values else None


def keys(users: int, channels: int) -> List[str]:
    """The flags that name so many keys."""
    return ["--users", str(users), "--channels", str(channels)]
