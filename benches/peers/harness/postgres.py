"""PostgreSQL: upserts one by one and by the hundred, by pgbench."""

from __future__ import annotations

import os
import pwd
import re
import shutil
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
CHANNELS = 100
BATCH = 100
START_LIMIT_SECONDS = 60.0
POLL_SECONDS = 0.1
TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
# Of the table and its index all is in memory, and no checkpoint falls into a run.
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "jit": "off",
}


class Unprivileged:
    """Who runs PostgreSQL, which refuses to run as root."""

    def __init__(self) -> None:
        self.is_root = os.geteuid() == 0
        self.user = pwd.getpwnam("nobody") if self.is_root else None

    def words(self) -> List[str]:
        """What stands before a command."""
        if self.user is None:
            return []
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}",
                "--clear-groups"]

    def own(self, folder: Path) -> None:
        """Makes a folder theirs."""
        if self.user is not None:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)

    def reachable(self, suite: Suite, folder: Path) -> Suite:
        """The suite, copied into `folder` where they may not look into its own."""
        program = suite.programs["postgres"]
        allowed = subprocess.run([*self.words(), "test", "-x", str(program)])
        if allowed.returncode == 0:
            return suite
        root = program.parents[5] if "usr" in program.parts else program.parent
        copy = folder / "postgres"
        shutil.copytree(root, copy, symlinks=True)
        moved = {name: copy / path.relative_to(root) for name, path in suite.programs.items()}
        return Suite(moved, [copy / path.relative_to(root) for path in suite.libraries])


class Postgres:
    """A running PostgreSQL, all of it on one core, with a table of read states."""

    def __init__(self, suite: Suite, core: int, keys: int) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="readstates-peers-")
        self.path, self.users = Path(self.folder.name), max(1, keys // CHANNELS)
        self.path.chmod(0o755)
        self.who = Unprivileged()
        home = self.path / "home"
        home.mkdir()
        self.who.own(home)
        self.suite = self.who.reachable(suite, self.path)
        self._make(home / "data")
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [*self.who.words(), "taskset", "-c", str(core), self._program("postgres"),
                   "-D", str(home / "data"), "-k", str(home), *settings]
        self.log = (self.path / "log").open("wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log,
                                        env=self.suite.environment(), cwd=home)
        self.home = home
        try:
            self._wait()
            self._fill(keys)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "Postgres":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Asks it to end at once, its processes included."""
        self.process.send_signal(3)
        self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def _program(self, name: str) -> str:
        return str(self.suite.programs[name])

    def _run(self, command: List[str]) -> subprocess.CompletedProcess:
        return subprocess.run(command, capture_output=True, text=True, cwd=self.path,
                              env=self.suite.environment())

    def _make(self, data: Path) -> None:
        command = [*self.who.words(), self._program("initdb"), "-D", str(data), "-U", "postgres",
                   "-A", "trust", "--no-locale", "-E", "UTF8", "--no-instructions"]
        outcome = self._run(command)
        if outcome.returncode != 0:
            raise UpdateError(f"initdb failed: {outcome.stderr[-1000:]}")

    def place(self) -> List[str]:
        """The flags that name this server."""
        return ["-h", str(self.home), "-U", "postgres"]

    def _psql(self, *words: str) -> subprocess.CompletedProcess:
        return self._run([self._program("psql"), *self.place(), "-q", "-v", "ON_ERROR_STOP=1",
                          *words, "postgres"])

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._psql("-c", "SELECT 1").returncode == 0:
                return
            time.sleep(POLL_SECONDS)
        raise UpdateError(f"postgres: {(self.path / 'log').read_text()[-1000:]}")

    def _fill(self, keys: int) -> None:
        schema = str(PEERS / "postgres/schema.sql")
        outcome = self._psql("-v", f"keys={keys}", "-f", schema)
        if outcome.returncode != 0:
            raise UpdateError(f"the table could not be filled: {outcome.stderr[-1000:]}")


def rate_of(told: str) -> float:
    """Transactions a second, from what pgbench says."""
    found = TPS.search(told)
    if found is None:
        raise UpdateError(f"pgbench said {told!r}")
    return float(found[1])


def _run(
    options: Options, postgres: Postgres, core: int, batched: bool, synced: bool,
    say: Callable[[str], None], _attempt: int,
) -> Dict:
    script = PEERS / "postgres" / ("batched.sql" if batched else "single.sql")
    command = ["taskset", "-c", str(core), str(postgres.suite.programs["pgbench"]), "-n",
               "-M", "prepared", "-c", str(CLIENTS), "-j", "1",
               "-T", str(options.form.other_seconds), f"--define=users={postgres.users}",
               "-f", str(script), *postgres.place(), "postgres"]
    commit = f"-c synchronous_commit={'on' if synced else 'off'}"
    environment = {**postgres.suite.environment(), "PGOPTIONS": commit}
    text, used = watched(postgres.process.pid, command, environment, postgres.path)
    rate = rate_of(text) * (BATCH if batched else 1)
    found = measured(rate, used, options.foreign_max)
    shown = f"PGOPTIONS='{commit}' pgbench {' '.join(command[4:13])} -f {script.name}"
    row = found.row(_case(batched, synced), shown)
    say(told(row))
    return row


def _case(batched: bool, synced: bool) -> Case:
    name = f"postgres-{'batched' if batched else 'single'}-{'on' if synced else 'off'}"
    what = f"upserts of {BATCH} rows" if batched else "upserts"
    return Case(name, f"PostgreSQL {what}, synchronous_commit {'on' if synced else 'off'}", synced)


def measure(
    options: Options, suite: Suite, cores: Dict[str, int], say: Callable[[str], None],
    rows: List[Dict],
) -> None:
    """All cases, in turn, as often as the form has it, added to `rows` as they come."""
    with Postgres(suite, cores["server"], options.form.other_keys) as postgres:
        for _ in range(options.form.other_repeats):
            for batched in (False, True):
                for synced in (False, True):
                    run = partial(_run, options, postgres, cores["generator"], batched, synced, say)
                    rows += verdict.attempts(run)
