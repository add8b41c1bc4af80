"""The command: looks what is there, measures it, reports it."""

from __future__ import annotations

import datetime
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

from . import build, machine, plots, postgres, redis, report, sides, streams, tools
from .build import BuildError
from .load import Generator, LoadError
from .options import SIDES, TARGET, Options, parse
from .rounds import Rounds
from .sides import StartError
from .summary import Results
from .updates import UpdateError

FORMAT = 1
DONE, FAILED = 0, 1
NEED_GO = {"go", "go-tuned", "go-slab", "streams"}
FAILURES = (BuildError, LoadError, StartError, UpdateError, subprocess.SubprocessError, OSError,
            KeyError)


def say(line: str) -> None:
    """A line for who waits; results go elsewhere."""
    now = datetime.datetime.now().strftime("%H:%M:%S")
    print(f"{now} {line}", file=sys.stderr, flush=True)


class Presence:
    """What is there of what was asked for."""

    def __init__(self, options: Options) -> None:
        self.missing: Dict[str, str] = {}
        self.present: Dict[str, str] = {}
        self.suites: Dict[str, tools.Suite] = {}
        self._programs(options)
        for name in ("redis", "postgres"):
            if name in options.names:
                self._suite(name, options)

    def _suite(self, name: str, options: Options) -> None:
        may_fetch = options.may_fetch and not options.check
        suite, words = tools.suite(name, TARGET / "debian", may_fetch)
        if suite:
            self.suites[name] = suite
        elif options.check and options.may_fetch and tools.can_fetch():
            self.present[name] = "not installed; a run unpacks it from Debian's packages"
            return
        self._note(name, words, suite is not None)

    def _programs(self, options: Options) -> None:
        self._note("taskset", *self._place("taskset"))
        cargo = (f"given: {options.binary}", True) if options.binary else self._place("cargo")
        self._note("readstates", *cargo)
        if NEED_GO & set(options.names):
            words, found = self._place("go")
            self._note("go", words, found)
        if len(os.sched_getaffinity(0)) < 2:
            self.missing["processors"] = "server and generator need one each"

    def _note(self, name: str, words: str, found: bool) -> None:
        (self.present if found else self.missing)[name] = words

    @staticmethod
    def _place(name: str) -> Tuple[str, bool]:
        found = tools.on_path(name)
        if found:
            return f"installed: {found}", True
        return f"missing: {tools.INSTALL.get(name, 'install it')}", False

    def has_go(self) -> bool:
        """Whether the peer can be built."""
        return "go" in self.present

    def refusal(self) -> Optional[str]:
        """Why nothing can be measured at all."""
        needed = [name for name in ("taskset", "readstates", "processors") if name in self.missing]
        return "; ".join(f"{name}: {self.missing[name]}" for name in needed) or None

    def told(self, options: Options) -> str:
        """What is there, what is not, and which rounds are left out."""
        lines = [f"  {name}: {words}" for name, words in self.present.items()]
        lines += [f"  {name}: {words}" for name, words in self.missing.items()]
        out = [name for name in options.names if self.leaves_out(name)]
        ending = f"left out: {', '.join(out)}" if out else "nothing is left out"
        if "streams" in options.names and not self.has_go():
            ending += "; of streams the one of Go"
        return "\n".join([*lines, ending])

    def leaves_out(self, name: str) -> bool:
        """Whether what is asked for cannot be measured."""
        if self.refusal():
            return True
        needs = {"go": "go", "go-tuned": "go", "go-slab": "go", "redis": "redis",
                 "postgres": "postgres"}
        return needs.get(name) in self.missing


class Comparison:
    """One run of everything that was asked for and is there."""

    def __init__(self, options: Options, presence: Presence) -> None:
        self.options, self.presence = options, presence
        self.names = [name for name in options.names if not presence.leaves_out(name)]
        server, generator = machine.cores(options)
        self.cores = {"server": server, "generator": generator}
        self.binary = (options.binary or build.readstates()).resolve()
        wants_go = NEED_GO & set(self.names)
        self.peer = build.peer() if wants_go and presence.has_go() else None
        # What this program does is not to be done on the server's core.
        os.sched_setaffinity(0, {generator})
        self.results = self._head()

    def run(self) -> bool:
        """Measures part by part into the results. Returns whether every part went well."""
        parts: Dict[str, Callable[[], None]] = {}
        if set(SIDES) & set(self.names):
            parts["unary"] = self._unary
        if "streams" in self.names:
            parts["streams"] = self._streams
        for name, measure in (("redis", redis.measure), ("postgres", postgres.measure)):
            if name in self.names:
                suite = self.presence.suites[name]
                parts[name] = partial(measure, self.options, suite, self.cores, say,
                                      self.results["others"])
        save = partial(write, self.results, self.options.output, self.options.json)
        return all([part(self.results, name, measure, save) for name, measure in parts.items()])

    def _streams(self) -> None:
        streams.measure(self.options, self.binary, self.peer, self.cores, say,
                        self.results["others"])

    def _unary(self) -> None:
        results = self.results
        unary = sides.unary(self.options, self.binary, self.peer)
        unary = {name: unary[name] for name in SIDES if name in unary and name in self.names}
        results["titles"] = {name: side.title for name, side in unary.items()}
        results["commands"] = {name: side.shown() for name, side in unary.items()}
        generator = Generator(self.binary, self.cores["generator"])
        rounds = Rounds(self.options, generator, self.cores["server"], say)
        if not self.options.rate:
            for name, side in unary.items():
                rounds.maxima(side, results["maxima"].setdefault(name, []))
        results["rate"] = rounds.rate(results)
        say(f"every side at {results['rate']:.0f} calls a second")
        results["commands"]["load"] = " ".join(
            ["readstates bench --rate", f"{results['rate']:.10g}", *rounds.words()])
        rounds.open_rounds(list(unary.values()), results["rate"], results["rounds"])

    def _head(self) -> Results:
        now = datetime.datetime.now(datetime.timezone.utc)
        return {
            "format": FORMAT,
            "date": now.strftime("%Y-%m-%d %H:%M UTC"),
            "command": " ".join(["benches/peers/run", *map(shlex.quote, _asked(sys.argv[1:]))]),
            "form": asdict(self.options.form),
            "mix": self.options.mix,
            "machine": machine.described(),
            "cores": self.cores,
            "files": _file_system(),
            "versions": self._versions(),
            "missing": dict(self.presence.missing),
            "titles": {}, "commands": {}, "maxima": {}, "rate": 0.0, "rounds": [], "others": [],
        }

    def _versions(self) -> Dict[str, str]:
        found = {"readstates": tools.version([str(self.binary), "--version"])}
        if self.peer:
            found["go"] = tools.version(["go", "version"])
        for name, program in (("redis", "redis-server"), ("postgres", "postgres")):
            suite = self.presence.suites.get(name)
            if suite:
                command = [str(suite.programs[program]), "--version"]
                found[name] = tools.version(command, suite.environment())
        return found


def part(
    results: Results, name: str, measure: Callable[[], None], save: Callable[[], None]
) -> bool:
    """Measures a part and saves all there is, however it ends: hours are not to be lost with one
    server. What failed is told, and the other parts go on. Returns whether it went well."""
    try:
        measure()
        return True
    except FAILURES as error:
        # In one line: it stands in a list.
        results["missing"][name] = " ".join(f"failed: {error}".split())
        say(f"{name} {results['missing'][name]}")
        return False
    finally:
        save()


def _asked(arguments: List[str]) -> List[str]:
    """The arguments without those that name places on this machine."""
    kept: List[str] = []
    places = ("--binary", "--json", "--output")
    for before, argument in zip(["", *arguments], arguments):
        if before not in places and argument.partition("=")[0] not in places:
            kept.append(argument)
    return kept


def _file_system() -> str:
    command = ["stat", "--file-system", "--format=%T", tempfile.gettempdir()]
    return tools.version(command)


def write(results: Results, folder: Path, more: Optional[Path]) -> None:
    """Report, pictures and results."""
    folder.mkdir(parents=True, exist_ok=True)
    # First, and by themselves: from them the rest can be made again.
    for path in [folder / "results.json", *([more] if more else [])]:
        path.write_text(packed(results))
    files = {"report.md": report.markdown(results)}
    if results["rounds"]:
        files["comparison.svg"] = plots.over_time(results, plots.OVERVIEW)
        files["percentiles.svg"] = plots.over_time(results, plots.PERCENTILES)
    bars = plots.updates(results)
    if bars:
        files["updates.svg"] = bars
    for name, text in files.items():
        (folder / name).write_text(text)


def packed(results: Results) -> str:
    """JSON with a line for each round and repetition, so that changes can be read."""

    def lines(values: List) -> str:
        return "[\n" + ",\n".join(f"  {json.dumps(value)}" for value in values) + "\n ]"

    fields = []
    for name, value in results.items():
        text = lines(value) if name in ("rounds", "others") else json.dumps(value)
        fields.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def main() -> int:
    """Runs the command and returns its exit code."""
    options = parse()
    if options.again:
        tell(json.loads(options.again.read_text()), options)
        return DONE
    presence = Presence(options)
    print(presence.told(options), file=sys.stderr)
    refusal = presence.refusal()
    if options.check:
        return FAILED if refusal else DONE
    if refusal:
        say(f"nothing can be measured: {refusal}")
        return FAILED
    return compare(options, presence)


def compare(options: Options, presence: Presence) -> int:
    """Measures and reports. Returns the exit code: what failed in part has failed."""
    # An exit, so that servers are ended and what was measured is saved.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
    try:
        comparison = Comparison(options, presence)
        went_well = comparison.run()
    except FAILURES as error:
        say(f"ended: {error}")
        return FAILED
    except KeyboardInterrupt:
        say(f"interrupted; what was measured is in {options.output}")
        return FAILED
    tell(comparison.results, options)
    return DONE if went_well else FAILED


def tell(results: Results, options: Options) -> None:
    """Writes everything, and prints the section for the project's README."""
    write(results, options.output, options.json)
    print(report.readme(results))
    say(f"the report is in {options.output}")
