"""`ApplyStream` of readstates, in memory and journaled, and of the peer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

from . import sides, verdict
from .load import Generator, keys
from .options import Options
from .sides import Server, Side
from .updates import Case, Measured, told

BATCH = 1_000
PIPELINE = 32
CHANNELS = 100
WARM_UP_SECONDS = 1


class Stream(NamedTuple):
    """A server, and what is sent to it."""

    case: Case
    side: Side
    mix: str


def _streams(options: Options, binary: Path, peer: Optional[Path]) -> List[Stream]:
    # Twice the places: nothing is pushed out. All of them change over and over.
    places, flush_after = 2 * options.form.other_keys, 30
    dirty = ["--dirty-limit", str(places)]
    memory = sides.rust(binary, places, flush_after, ["--store", "memory", *dirty])
    journal = sides.rust(binary, places, flush_after,
                         ["--store", "embedded", "--data-dir", "data", *dirty])
    found = [
        Stream(Case("stream-memory", "readstates ApplyStream, acks", False), memory, "ack"),
        Stream(Case("stream-memory-chat", "readstates ApplyStream, acks and mentions", False),
               memory, "chat"),
        Stream(Case("stream-journal", "readstates ApplyStream, acks, journaled", True),
               journal, "ack"),
    ]
    if peer:
        side = sides.go(peer, places, flush_after)
        side.command.extend(["-dirty-limit", str(places)])
        found.append(Stream(Case("stream-go", "Go ApplyStream, acks", False), side, "ack"))
    return found


def measure(
    options: Options, binary: Path, peer: Optional[Path], cores: Dict[str, int],
    say: Callable[[str], None], rows: List[Dict],
) -> None:
    """All cases, in turn, as often as the form has it, added to `rows` as they come; each time with
    a new server."""
    generator = Generator(binary, cores["generator"])
    for _ in range(options.form.other_repeats):
        for stream in _streams(options, binary, peer):
            run = partial(_run, options, generator, stream, cores["server"], say)
            rows += verdict.attempts(run)


def _run(
    options: Options, generator: Generator, stream: Stream, core: int, say: Callable[[str], None],
    _attempt: int,
) -> Dict:
    form = options.form
    users = keys(max(1, form.other_keys // CHANNELS), CHANNELS)
    words = [*users, "--mix", stream.mix, "--distribution", "uniform", "--stream",
             "--batch", str(BATCH), "--connections", "1", "--pipeline", str(PIPELINE)]
    with Server(stream.side, core) as server:
        generator.fill(server, users)
        outcome = generator.run(server, words, WARM_UP_SECONDS, form.other_seconds)
    report = outcome["report"]
    server_cores, generator_cores = (
        round((report[who] or {}).get("cpu_cores", 0.0), 3) for who in ("server", "generator"))
    problems = verdict.of_any(outcome, options.foreign_max)
    found = Measured(report["operations_per_second"], server_cores, generator_cores,
                     outcome["foreign"] or 0.0, problems)
    command = f"{stream.side.shown()} / readstates bench {' '.join(words)}"
    row = found.row(stream.case, command)
    say(told(row))
    return row
