"""The servers that are compared, and how each is started on a core of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from .options import Options

LISTENING = re.compile(r"grpc=([0-9a-fA-F.:\[\]]+)")
START_LIMIT_SECONDS = 60.0
POLL_SECONDS = 0.05
# Of readstates' entries a seventeenth is kept for states that are not about channels.
ENTRIES_BY_CHANNELS = (17, 16)


@dataclass(frozen=True)
class Side:
    """How one of the servers is started."""

    name: str
    title: str
    command: List[str]
    environment: Dict[str, str] = field(default_factory=dict)

    def shown(self) -> str:
        """The command line, as one would type it."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        program = Path(self.command[0]).name
        return " ".join([*variables, program, *self.command[1:]])


def go(program: Path, entries: int, flush_after: int) -> Side:
    """The peer as it comes."""
    command = [str(program), "-listen", "127.0.0.1:0", "-entries", str(entries),
               "-store", "memory", "-flush-after", f"{flush_after}s"]
    return Side("go", "Go", command, {"GODEBUG": "gctrace=1"})


def tuned(side: Side, variables: Sequence[str], has_slabs: bool) -> Side:
    """The peer with these variables, and perhaps with its entries in slabs."""
    environment = {**side.environment, **dict(one.split("=", 1) for one in variables)}
    if has_slabs:
        return Side("go-slab", "Go, tuned, slabs", [*side.command, "-slab"], environment)
    return Side("go-tuned", "Go, tuned", side.command, environment)


def rust(program: Path, entries: int, flush_after: int, more: Optional[List[str]] = None) -> Side:
    """readstates without a journal, or as these flags besides have it."""
    above, below = ENTRIES_BY_CHANNELS
    places = -(-entries * above // below)
    command = [str(program), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
               "--cache-entries", str(places), "--serve-threads", "1",
               "--flush-after", f"{flush_after}s"]
    return Side("rust", "Rust", command + (more or ["--store", "memory"]))


def unary(options: Options, binary: Path, peer: Optional[Path]) -> Dict[str, Side]:
    """The sides that unary calls are compared of."""
    form = options.form
    sides = {"rust": rust(binary, form.entries, form.flush_after)}
    if peer:
        sides["go"] = go(peer, form.entries, form.flush_after)
        sides["go-tuned"] = tuned(sides["go"], options.tuned, has_slabs=False)
        sides["go-slab"] = tuned(sides["go"], options.tuned, has_slabs=True)
    return {name: side for name, side in sides.items() if name in options.names}


class StartError(Exception):
    """A server did not come up."""


class Server:
    """A running side, in a folder of its own that goes with it; killed at the end, as nothing of
    it is to be kept."""

    def __init__(self, side: Side, core: int) -> None:
        self.side = side
        self.folder = tempfile.TemporaryDirectory(prefix="readstates-peers-")
        self.log_path = Path(self.folder.name) / "log"
        self.started = time.monotonic()
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *side.command],
                cwd=self.folder.name, env=environment(side.environment),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        try:
            self.address = self._listening()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process: taskset has become the server."""
        return self.process.pid

    def log(self) -> str:
        """Everything that it has said."""
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        """Ends it at once."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.folder.cleanup()

    def _listening(self) -> str:
        while time.monotonic() < self.started + START_LIMIT_SECONDS:
            ended = self.process.poll() is not None
            found = LISTENING.search(self.log())
            if found:
                return found[1]
            if ended:
                break
            time.sleep(POLL_SECONDS)
        raise StartError(f"{self.side.title} does not listen: {self.log()[-2000:]}")


def environment(more: Dict[str, str]) -> Dict[str, str]:
    """This program's own, without what would set a server up another way."""
    names = ("GOGC", "GOMEMLIMIT", "GODEBUG", "GOMAXPROCS", "NOTIFY_SOCKET")
    kept = {name: value for name, value in os.environ.items()
            if name not in names and not name.startswith("READSTATES_")}
    return {**kept, **more}
