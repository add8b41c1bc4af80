"""The programs of others that rounds need: found on this machine, or unpacked from Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

POSTGRES_FOLDERS = "usr/lib/postgresql/*/bin"


@dataclass(frozen=True)
class Package:
    """Debian packages that have programs, with what these need beside what every Debian has."""

    names: Tuple[str, ...]


PACKAGES: Dict[str, Package] = {
    "redis": Package(
        ("redis-server", "redis-tools", "liblua5.1-0", "lua-bitop", "lua-cjson", "libjemalloc2",
         "liblzf1", "libhiredis0.14", "libatomic1")
    ),
    "postgres": Package(
        ("postgresql-15", "postgresql-client-15", "libpq5", "libxslt1.1", "libxml2", "libicu72",
         "libldap-2.5-0", "libsasl2-2")
    ),
}

PROGRAMS: Dict[str, Tuple[str, ...]] = {
    "redis": ("redis-server", "redis-benchmark", "redis-cli"),
    "postgres": ("postgres", "initdb", "psql", "pgbench"),
}

INSTALL = {
    "go": "install Go 1.26 or newer (go.dev/dl)",
    "taskset": "install util-linux",
    "redis": "install Debian's redis-server and redis-tools, or let this command fetch them",
    "postgres": "install Debian's postgresql, or let this command fetch it",
}


@dataclass
class Suite:
    """Programs that belong together, and where their libraries are if they were unpacked."""

    programs: Dict[str, Path]
    libraries: List[Path] = field(default_factory=list)

    def environment(self) -> Dict[str, str]:
        """The environment to run them in."""
        environment = dict(os.environ)
        if self.libraries:
            environment["LD_LIBRARY_PATH"] = ":".join(str(path) for path in self.libraries)
        return environment


def on_path(name: str) -> Optional[Path]:
    """A program that a shell would find."""
    found = shutil.which(name)
    return Path(found) if found else None


def installed(name: str, root: Path = Path("/")) -> Optional[Suite]:
    """A suite below `root`; that of the system may be anywhere on the path."""
    folders = [root / "usr/bin", *sorted(root.glob(POSTGRES_FOLDERS), reverse=True)]
    programs = {}
    for program in PROGRAMS[name]:
        places = [folder / program for folder in folders if (folder / program).is_file()]
        found = places[0] if places else (on_path(program) if root == Path("/") else None)
        if found is None:
            return None
        programs[program] = found
    return Suite(programs)


def unpacked(name: str, cache: Path) -> Optional[Suite]:
    """A suite that was unpacked before."""
    root = cache / name
    suite = installed(name, root) if (root / "ready").exists() else None
    if suite:
        suite.libraries = sorted({path.parent for path in root.rglob("*.so*")})
    return suite


def fetch(name: str, cache: Path) -> Optional[str]:
    """Unpacks a suite from Debian's packages: no rights are needed, and no service is started.
    Returns what went wrong."""
    if not can_fetch():
        return "there is no apt-get here"
    root = cache / name
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    outcome = _apt_get(root, "download", *PACKAGES[name].names)
    if outcome.returncode != 0:
        # Lists may be missing, or name what is gone. Where they may not be renewed, what the
        # download says is told all the same.
        _apt_get(root, "update")
        outcome = _apt_get(root, "download", *PACKAGES[name].names)
    if outcome.returncode != 0:
        return outcome.stderr.strip().splitlines()[-1] if outcome.stderr else "apt-get failed"
    for package in root.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
        package.unlink()
    (root / "ready").touch()
    return None


def _apt_get(folder: Path, *words: str) -> subprocess.CompletedProcess:
    command = ["apt-get", words[0], "-qq", *words[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def can_fetch() -> bool:
    """Whether this is a Debian, or like one."""
    return bool(on_path("apt-get") and on_path("dpkg-deb"))


def suite(name: str, cache: Path, may_fetch: bool) -> Tuple[Optional[Suite], str]:
    """A suite, and where it is from or why it is not there."""
    found = installed(name)
    if found:
        return found, f"installed: {next(iter(found.programs.values()))}"
    found = unpacked(name, cache)
    if found is None and may_fetch:
        problem = fetch(name, cache)
        if problem:
            return None, f"missing, and cannot be fetched ({problem}): {INSTALL[name]}"
        found = unpacked(name, cache)
    if found is None:
        return None, f"missing: {INSTALL[name]}"
    return found, f"unpacked from Debian: {found.programs[PROGRAMS[name][0]]}"


def version(command: List[str], environment: Optional[Dict[str, str]] = None) -> str:
    """The first line that a program says of itself."""
    try:
        outcome = subprocess.run(command, capture_output=True, text=True, env=environment)
    except OSError:
        return "unknown"
    lines = (outcome.stdout or outcome.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"
