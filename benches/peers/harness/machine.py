"""What the figures were measured on: machine, versions and cores."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Dict, Tuple

from .options import Options, ROOT
from .stats import mebibytes


def cores(options: Options) -> Tuple[int, int]:
    """The processor of the server and that of the generator: the last and the first that this
    program may use, unless others are asked for."""
    allowed = sorted(os.sched_getaffinity(0))
    server = allowed[-1] if options.server_core is None else options.server_core
    generator = allowed[0] if options.generator_core is None else options.generator_core
    return server, generator


def described() -> Dict[str, str]:
    """Processor, memory and system."""
    return {
        "processor": _field("/proc/cpuinfo", "model name"),
        "processors": str(os.cpu_count()),
        "memory": mebibytes(int(_field("/proc/meminfo", "MemTotal").split()[0]) * 1024),
        "kernel": platform.release(),
        "huge_pages": _chosen(Path("/sys/kernel/mm/transparent_hugepage/enabled")),
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"


def _chosen(path: Path) -> str:
    try:
        return path.read_text().partition("[")[2].partition("]")[0]
    except OSError:
        return "unknown"


def _commit() -> str:
    # Marked where the files are not those of the commit, and without the names of tags.
    command = ["git", "-C", str(ROOT), "describe", "--always", "--exclude=*", "--dirty=+changes"]
    try:
        outcome = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return outcome.stdout.strip() or "unknown"
