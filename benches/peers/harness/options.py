"""What is asked for on the command line, and what the two forms mean."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import List, Optional, Tuple

PEERS = Path(__file__).resolve().parent.parent
ROOT = PEERS.parent.parent
TARGET = ROOT / "target" / "peers"

SIDES = ("go", "rust", "go-tuned", "go-slab")
OTHERS = ("streams", "redis", "postgres")
NAMES = SIDES + OTHERS


@dataclass(frozen=True)
class Form:
    """How much is measured. Times are in seconds."""

    name: str
    entries: int
    """States resident at most, on either side."""
    users: int
    channels: int
    """Keys are users times channels: a quarter more than are resident."""
    flush_after: int
    maximum_seconds: int
    maximum_repeats: int
    warm_up: int
    """Beyond `flush_after`, so that what the filling left is written."""
    open_seconds: int
    rounds: int
    window: int
    other_keys: int
    """Keys of what is not served over unary calls, all of them resident."""
    other_seconds: int
    other_repeats: int
    sides: Tuple[str, ...]


SHORT = Form("short", 1_000_000, 12_500, 100, 3, 6, 1, 4, 20, 3, 1, 1_000_000, 3, 1,
             ("go", "rust"))
LONG = Form("long", 8_000_000, 100_000, 100, 30, 20, 3, 45, 720, 3, 10, 1_000_000, 15, 5,
            ("go", "rust", "go-tuned"))


@dataclass(frozen=True)
class Options:
    """Everything that was asked for."""

    form: Form
    names: Tuple[str, ...]
    mix: str
    rate: Optional[float]
    binary: Optional[Path]
    server_core: Optional[int]
    generator_core: Optional[int]
    tuned: Tuple[str, ...]
    foreign_max: float
    may_fetch: bool
    check: bool
    json: Optional[Path]
    output: Path
    again: Optional[Path]


def parse(arguments: Optional[List[str]] = None) -> Options:
    """The options, or the end of the program with what is wrong with them."""
    parser = _parser()
    given = parser.parse_args(arguments)
    form = _changed(LONG if given.long else SHORT, given)
    names = tuple(dict.fromkeys(given.only)) if given.only else form.sides + OTHERS
    return Options(
        form=form,
        names=names,
        mix=given.mix,
        rate=given.rate,
        binary=given.binary,
        server_core=given.server_core,
        generator_core=given.generator_core,
        tuned=tuple(given.tuned.split()),
        foreign_max=given.foreign_max,
        may_fetch=not given.no_fetch,
        check=given.check,
        json=given.json,
        output=given.output,
        again=given.again,
    )


def _changed(form: Form, given: argparse.Namespace) -> Form:
    asked = {
        "entries": given.entries,
        "open_seconds": given.open_seconds,
        "warm_up": given.warm_up,
        "maximum_seconds": given.maximum_seconds,
        "other_seconds": given.other_seconds,
        "rounds": given.rounds,
        "other_repeats": given.repeats,
        "maximum_repeats": given.repeats,
        "other_keys": given.other_keys,
    }
    form = replace(form, **{name: value for name, value in asked.items() if value is not None})
    return replace(form, users=max(1, form.entries * 5 // 4 // form.channels))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benches/peers/run",
        description="Measures readstates beside a peer in Go, Redis and PostgreSQL, on one core "
        "each, and draws it. The load stays on this machine.",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true", help="some five minutes (default)")
    length.add_argument("--long", action="store_true", help="8 million states; some hours")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME",
                        help=f"only this one, may be given again: {', '.join(NAMES)}")
    parser.add_argument("--check", action="store_true",
                        help="only say what is there and what would be left out")
    parser.add_argument("--no-fetch", action="store_true",
                        help="unpack nothing from Debian's packages")
    _outputs(parser)
    _load(parser)
    return parser


def _outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there too")
    parser.add_argument("--output", type=Path, default=TARGET / "report", metavar="DIR",
                        help="where report, pictures and results go [target/peers/report]")
    parser.add_argument("--again", type=Path, metavar="FILE",
                        help="measure nothing: report what is in these results once more")
    parser.add_argument("--binary", type=Path, metavar="PATH",
                        help="a readstates that is built, instead of building a release")


def _load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mix", choices=("chat", "ack"), default="chat",
                        help="chat: acks and mentions, Zipf; ack: acks of uniform keys [chat]")
    parser.add_argument("--rate", type=float, metavar="R",
                        help="calls a second of the open loop, instead of half the maximum")
    parser.add_argument("--tuned", default="GOGC=400 GOMEMLIMIT=12GiB", metavar="VARIABLES",
                        help="environment of go-tuned and go-slab [GOGC=400 GOMEMLIMIT=12GiB]")
    parser.add_argument("--foreign-max", type=float, default=0.1, metavar="CORES",
                        help="processors that others may use in a valid round [0.1]")
    for name in ("server-core", "generator-core", "entries", "rounds", "repeats", "warm-up",
                 "open-seconds", "maximum-seconds", "other-seconds", "other-keys"):
        parser.add_argument(f"--{name}", type=int, metavar="N",
                            help="instead of what the form has")
