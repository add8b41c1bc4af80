"""What processes and the machine use, as the kernel counts it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SAMPLE_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Stat:
    """Of one process."""

    parent: int
    cpu_seconds: float
    """Of its own and of its children that have ended."""


def parse_stat(text: str) -> Optional[Stat]:
    """A line of /proc/PID/stat. The name, in parentheses, may hold anything."""
    fields = text.rpartition(")")[2].split()
    if len(fields) < 15:
        return None
    ticks = sum(int(field) for field in fields[11:15])
    return Stat(int(fields[1]), ticks / TICKS_PER_SECOND)


def stats() -> Dict[int, Stat]:
    """Of all processes."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            stat = stat_of(int(folder.name))
            if stat:
                found[int(folder.name)] = stat
    return found


def stat_of(pid: int) -> Optional[Stat]:
    """Of one process; nothing of one that is gone."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return None


def tree(pid: int, of_all: Dict[int, Stat]) -> List[int]:
    """A process and all its descendants."""
    found = [pid] if pid in of_all else []
    for child in [child for child, stat in of_all.items() if stat.parent == pid]:
        found += tree(child, of_all)
    return found


def tree_cpu_seconds(pid: int) -> float:
    """Of a process and all its descendants, also those that have ended."""
    of_all = stats()
    return sum(of_all[one].cpu_seconds for one in tree(pid, of_all))


def rss_bytes(pid: int) -> Optional[int]:
    """Resident memory of a process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return None


@dataclass(frozen=True)
class Machine:
    """Processor time of the whole machine, in seconds."""

    of_processes: float
    stolen: float


def parse_machine(text: str) -> Machine:
    """The first line of /proc/stat. Interrupts are of no process, and not counted."""
    user, nice, system, _idle, _wait, _irq, _softirq, steal = map(int, text.split()[1:9])
    return Machine((user + nice + system) / TICKS_PER_SECOND, steal / TICKS_PER_SECOND)


@dataclass(frozen=True)
class Moment:
    """Everything that is sampled, at some moment."""

    at: float
    machine: Machine
    server: float
    generator: float
    own: float
    rss: Optional[int]


class Sampler(threading.Thread):
    """Looks at the server, the generator and the machine once a second, until it is stopped."""

    def __init__(self, server: int, generator: int) -> None:
        super().__init__(daemon=True)
        self.pids = (server, generator)
        self.moments: List[Moment] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(self._until_next()):
            self.take()

    def _until_next(self) -> float:
        if not self.moments:
            return 0.0
        return max(0.0, self.moments[-1].at + SAMPLE_EVERY_SECONDS - time.monotonic())

    def take(self) -> None:
        """Takes a sample. One without the server or the generator is none."""
        server, generator = (stat_of(pid) for pid in self.pids)
        if server is None or generator is None:
            return
        machine = parse_machine(Path("/proc/stat").read_text())
        times = (server.cpu_seconds, generator.cpu_seconds, time.process_time())
        self.moments.append(Moment(time.monotonic(), machine, *times, rss_bytes(self.pids[0])))

    def stop(self) -> List[Moment]:
        """All moments, in order."""
        self.stopped.set()
        self.join()
        return self.moments


def series(moments: List[Moment], from_: float) -> List[Dict[str, float]]:
    """Second by second since `from_`: processors of server, generator, others, and memory."""
    rows = []
    for before, now in zip(moments, moments[1:]):
        if before.at < from_ - SAMPLE_EVERY_SECONDS / 2:
            continue
        rows.append({"at": round(now.at - from_, 2), **cores(before, now), "rss": now.rss or 0})
    return rows


def cores(before: Moment, now: Moment) -> Dict[str, float]:
    """Processors used between two moments; foreign is what neither side nor this program used,
    and what another machine took."""
    passed = max(now.at - before.at, 1e-9)
    server = now.server - before.server
    generator = now.generator - before.generator
    stolen = now.machine.stolen - before.machine.stolen
    all_processes = now.machine.of_processes - before.machine.of_processes
    foreign = all_processes - server - generator - (now.own - before.own)
    return {
        "server": round(server / passed, 3),
        "generator": round(generator / passed, 3),
        "foreign": round(max(0.0, foreign + stolen) / passed, 3),
    }
