"""The two programs: readstates as a release, and the peer in Go."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import List

from .options import PEERS, ROOT, TARGET

GO = PEERS / "go"
PEER = TARGET / "readstates-peer"


class BuildError(Exception):
    """A program could not be built."""


def readstates() -> Path:
    """Builds a release, and says where it is."""
    _run(["cargo", "build", "--release", "--locked"], ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return (ROOT / target / "release" / "readstates").resolve()


def peer() -> Path:
    """Generates the contract's code for Go, builds the peer, and says where it is."""
    TARGET.mkdir(parents=True, exist_ok=True)
    _run(["go", "generate", "./..."], GO)
    _run(["go", "build", "-o", str(PEER), "."], GO)
    return PEER


def _run(command: List[str], folder: Path) -> None:
    outcome = subprocess.run(command, cwd=folder)
    if outcome.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed in {folder.relative_to(ROOT.parent)}")
