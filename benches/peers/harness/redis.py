"""Redis: counters and a script with our semantics, pipelined by redis-benchmark."""

from __future__ import annotations

import csv
import socket
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List

from . import verdict
from .options import Options, PEERS
from .tools import Suite
from .updates import Case, UpdateError, measured, told, watched

CLIENTS = 16
PIPELINES = (16, 64)
CALIBRATION_REQUESTS = 100_000
START_LIMIT_SECONDS = 20.0
POLL_SECONDS = 0.05
JOURNALED = ("--appendonly", "yes", "--appendfsync", "always",
             # It would rewrite its file in the midst of a run, on the same core.
             "--auto-aof-rewrite-percentage", "0")


class Redis:
    """A running Redis on a core of its own, with read states in it."""

    def __init__(self, suite: Suite, core: int, keys: int, durable: bool) -> None:
        self.suite, self.keys, self.durable = suite, keys, durable
        self.folder = tempfile.TemporaryDirectory(prefix="readstates-peers-")
        self.port = _free_port()
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir",
                 self.folder.name, *(JOURNALED if durable else ("--appendonly", "no"))]
        command = ["taskset", "-c", str(core), str(suite.programs["redis-server"]), *words]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=suite.environment())
        try:
            self._wait()
            self._call("EVAL", (PEERS / "redis/fill.lua").read_text(), "0", str(keys))
            self.script = self._call("SCRIPT", "LOAD", (PEERS / "redis/update.lua").read_text())
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "Redis":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def _call(self, *words: str) -> str:
        command = [str(self.suite.programs["redis-cli"]), "-p", str(self.port), *words]
        outcome = subprocess.run(command, capture_output=True, text=True,
                                 env=self.suite.environment())
        answer = outcome.stdout.strip()
        if outcome.returncode != 0 or answer.startswith("ERR"):
            raise UpdateError(f"redis-cli {words[0]}: {answer}{outcome.stderr}")
        return answer

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self._call("PING") == "PONG":
                    return
            except UpdateError:
                pass
            time.sleep(POLL_SECONDS)
        raise UpdateError("redis-server does not answer")

    def words(self, lua: bool) -> List[str]:
        """What is called."""
        if lua:
            return ["EVALSHA", self.script, "1", "rs:__rand_int__", "__rand_int__"]
        return ["HINCRBY", "rs:__rand_int__", "mentions", "1"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def rate_of(told: str) -> float:
    """Requests a second, from what redis-benchmark says with --csv."""
    rows = list(csv.reader(line for line in told.splitlines() if line.startswith('"')))
    if len(rows) < 2:
        raise UpdateError(f"redis-benchmark said {told!r}")
    return float(rows[-1][1])


class Benchmark:
    """redis-benchmark on a core of its own."""

    def __init__(
        self, options: Options, suite: Suite, core: int, say: Callable[[str], None]
    ) -> None:
        self.options, self.suite, self.core, self.say = options, suite, core, say

    def command(self, redis: Redis, pipeline: int, lua: bool, requests: int) -> List[str]:
        """The command line of a run."""
        return ["taskset", "-c", str(self.core), str(self.suite.programs["redis-benchmark"]),
                "--csv", "-p", str(redis.port), "-c", str(CLIENTS), "-P", str(pipeline),
                "-r", str(redis.keys), "-n", str(requests), *redis.words(lua)]

    def run(self, redis: Redis, pipeline: int, lua: bool, _attempt: int) -> Dict:
        """As many requests as take about as long as was asked for."""
        environment, folder = self.suite.environment(), Path(redis.folder.name)
        calibration = self.command(redis, pipeline, lua, CALIBRATION_REQUESTS)
        rate = rate_of(watched(redis.process.pid, calibration, environment, folder)[0])
        requests = max(CALIBRATION_REQUESTS, int(rate * self.options.form.other_seconds))
        command = self.command(redis, pipeline, lua, requests)
        text, used = watched(redis.process.pid, command, environment, folder)
        found = measured(rate_of(text), used, self.options.foreign_max)
        case = _case(redis.durable, lua, pipeline)
        row = found.row(case, " ".join(["redis-benchmark", *command[4:]]))
        self.say(told(row))
        return row


def measure(
    options: Options, suite: Suite, cores: Dict[str, int], say: Callable[[str], None],
    rows: List[Dict],
) -> None:
    """All cases, in turn, as often as the form has it, added to `rows` as they come."""
    benchmark = Benchmark(options, suite, cores["generator"], say)
    for durable in (False, True):
        with Redis(suite, cores["server"], options.form.other_keys, durable) as redis:
            for _ in range(options.form.other_repeats):
                for lua in (False, True):
                    for pipeline in PIPELINES:
                        run = partial(benchmark.run, redis, pipeline, lua)
                        rows += verdict.attempts(run)


def _case(durable: bool, lua: bool, pipeline: int) -> Case:
    what = "a script with our semantics" if lua else "HINCRBY"
    name = f"redis-{'script' if lua else 'hincrby'}-{pipeline}{'-aof' if durable else ''}"
    journal = ", AOF synced always" if durable else ""
    return Case(name, f"Redis {what}, {pipeline} pipelined{journal}", durable)
