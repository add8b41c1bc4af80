"""What a run keeps when something goes wrong, and what it goes by."""

import contextlib
import io
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from harness import load, machine, main, options, report, rounds, tools
from harness.load import Generator, LoadError
from harness.rounds import Rounds
from tests import sample

SIDE = mock.Mock(title="Rust")


def ended(code, stdout="", stderr=""):
    """What a program left."""
    return subprocess.CompletedProcess([], code, stdout, stderr)


class Parts(unittest.TestCase):
    def setUp(self):
        self.results, self.saved = sample.results(), []

    def part(self, error):
        def measure():
            self.results["others"].append("measured")
            if error:
                raise error

        def save():
            self.saved.append((self.results["others"][-1], self.results["missing"].get("streams")))

        with contextlib.redirect_stderr(io.StringIO()) as told:
            went_well = main.part(self.results, "streams", measure, save)
        return went_well, told.getvalue()

    def test_what_was_measured_is_saved(self):
        self.assertEqual(self.part(None), (True, ""))
        self.assertEqual(self.saved, [("measured", None)])

    def test_what_fails_is_told_and_costs_no_other_part(self):
        for error in (LoadError("it\n hung"), OSError("it hung"), KeyError("it hung")):
            went_well, told = self.part(error)
            why = self.results["missing"].pop("streams")
            self.assertFalse(went_well)
            self.assertIn(f"streams {why}", told)
            self.assertEqual(why.replace("'", ""), "failed: it hung")
            self.assertEqual(self.saved.pop(), ("measured", why))

    def test_what_was_measured_until_an_end_is_saved(self):
        for error in (KeyboardInterrupt, SystemExit(1)):
            with self.assertRaises(BaseException):
                self.part(error)
            self.assertEqual(self.saved.pop(), ("measured", None))

    def test_a_report_is_made_of_whatever_there_is(self):
        whole = sample.results()
        nothing = {**whole, "titles": {}, "commands": {}, "maxima": {}, "rounds": [], "others": []}
        maxima = {**whole, "maxima": {"go": whole["maxima"]["go"], "rust": []}, "rounds": []}
        for results in (nothing, maxima, {**whole, "rounds": whole["rounds"][:1], "maxima": {}}):
            with tempfile.TemporaryDirectory() as folder:
                main.write(results, Path(folder), None)
                self.assertTrue((Path(folder) / "report.md").exists())
            report.readme(results)


class Loads(unittest.TestCase):
    def fill(self, outcome):
        server = mock.Mock(address="127.0.0.1:1", pid=1)
        with mock.patch.object(load.subprocess, "run", return_value=outcome):
            Generator(Path("readstates"), 0).fill(server, [])

    def test_keys_are_filled_whatever_the_loop_behind_it_came_to(self):
        self.fill(ended(0, "{}"))
        self.fill(ended(1, "{}", "1 call was refused"))
        with self.assertRaisesRegex(LoadError, "no server"):
            self.fill(ended(1, "", "no server"))

    def test_a_maximum_is_told_also_of_a_server_that_died(self):
        told = []
        measured = Rounds(options.parse([]), mock.Mock(), 0, told.append)
        for server in (None, {"cpu_us_per_call": None}, {"cpu_us_per_call": 11.0}):
            outcome = {"report": {**sample.closed(5, 1)["report"], "server": server, "errors": {},
                                  "interrupted": False, "generator": None}, "foreign": 0.0}
            measured._closed(SIDE, outcome)
        self.assertEqual(told, [*["Rust: 5 calls a second at most"] * 2,
                                "Rust: 5 calls a second at most, 11.0 us of the server each"])

    def test_the_rate_goes_by_what_is_valid(self):
        results = sample.results()
        spoilt = {**sample.closed(10, 1.0), "problems": ["others used 0.50 cores"]}
        results["maxima"]["go"].append(spoilt)
        measured = Rounds(options.parse([]), mock.Mock(), 0, mock.Mock())
        self.assertEqual(measured.rate(results), 21_000)
        results["maxima"]["go"] = [spoilt]
        self.assertEqual(measured.rate(results), 5)

    def test_loops_are_kept_as_they_come(self):
        kept, runs = [], [{"problems": []}, LoadError("it hung")]
        measured = Rounds(options.parse(["--repeats", "2"]), mock.Mock(), 0, mock.Mock())
        with mock.patch.object(measured, "_closed", side_effect=runs), \
                mock.patch.object(rounds, "Server", mock.MagicMock()):
            self.assertRaises(LoadError, measured.maxima, SIDE, kept)
        self.assertEqual(kept, runs[:1])


class Surroundings(unittest.TestCase):
    def test_packages_are_looked_up_anew_where_they_cannot_be_had(self):
        outcomes, asked = [ended(100, "", "E: gone"), ended(0), ended(0)], []

        def run(command, **_):
            asked.append(command[1])
            return outcomes.pop(0)

        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(tools, "can_fetch", return_value=True), \
                mock.patch.object(tools.subprocess, "run", run):
            self.assertIsNone(tools.fetch("redis", Path(folder)))
        self.assertEqual(asked, ["download", "update", "download"])

    def test_a_commit_with_changes_is_marked(self):
        with tempfile.TemporaryDirectory() as folder:
            git = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@localhost",
                   "-c", "commit.gpgsign=false"]
            file = Path(folder) / "file"
            file.write_text("one")
            for words in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "one"],
                          ["tag", "v1"]):
                subprocess.run([*git, *words], check=True)
            with mock.patch.object(machine, "ROOT", Path(folder)):
                self.assertRegex(machine._commit(), "^[0-9a-f]+$")
                file.write_text("two")
                self.assertRegex(machine._commit(), r"^[0-9a-f]+\+changes$")
