"""Pictures and reports, of results that nobody measured."""

import json
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

from harness import main, plots, report, summary, svg
from tests import sample


class Axes(unittest.TestCase):
    def test_an_axis_begins_and_ends_with_round_values(self):
        axis = svg.logarithmic([130, 14_000], 0, 100)
        self.assertEqual((axis.low, axis.high), (100, 20_000))
        self.assertEqual((axis.px(100), axis.px(20_000)), (0, 100))
        self.assertAlmostEqual(axis.px(1_000_000), 100)
        self.assertEqual(svg.linear([], 0, 1).low, 0)

    def test_ticks_are_round_and_on_the_axis(self):
        for axis in (svg.logarithmic([3, 70], 0, 1), svg.logarithmic([1, 9e6], 0, 1),
                     svg.linear([0.93], 0, 1), svg.linear([3_456], 0, 1)):
            ticks = axis.ticks()
            self.assertTrue(2 < len(ticks) < 12, ticks)
            self.assertTrue(all(axis.low <= tick <= axis.high * 1.001 for tick in ticks), ticks)


class Pictures(unittest.TestCase):
    def setUp(self):
        self.results = sample.results()

    def test_pictures_are_xml_with_a_line_for_each_round(self):
        picture = plots.over_time(self.results, plots.OVERVIEW)
        xml.fromstring(picture)
        for side in ("go", "rust"):
            lines = [line for line in picture.splitlines()
                     if plots.COLOURS[side] in line and line.count(" L") > 50]
            self.assertEqual(len(lines), 2 * len(plots.OVERVIEW), side)
        self.assertNotIn("nan", picture)
        xml.fromstring(plots.updates(self.results))
        self.results["others"] = []
        self.assertIsNone(plots.updates(self.results))

    def test_words_cannot_break_out(self):
        picture = svg.Svg(10, 10)
        picture.text((1, 1), "<a> & b")
        self.assertIn("&lt;a&gt; &amp; b", picture.finish())

    def test_an_invalid_round_is_told_and_does_not_count(self):
        spoilt = self.results["rounds"][1]
        spoilt["problems"] = ["others used 0.50 cores"]
        spoilt["report"]["latency_us"]["p50"] = 10**9
        self.assertEqual(len(summary.valid_rounds(self.results, "rust")), 1)
        text = report.markdown(self.results)
        self.assertIn("- round 1, attempt 1, Rust: others used 0.50 cores", text)
        self.assertNotIn("1000 s", text)
        self.results["rounds"][3]["problems"] = ["others used 0.60 cores"]
        self.assertIn("**No round of Rust was valid", report.markdown(self.results))

    def test_the_report_says_where_a_peer_is_better(self):
        better = report.better_peers(self.results)
        self.assertTrue(any(line.startswith("Redis HINCRBY") for line in better), better)
        self.assertFalse(any(line.startswith("Go, calls") for line in better), better)
        self.assertIn("- redis: missing: install it", report.markdown(self.results))
        self.assertIn("| calls a second at most | 42,000 | at least 81,000 | 0.52 |",
                      report.readme(self.results))

    def test_what_the_generator_and_others_used_is_told_and_no_merit(self):
        self.results["rounds"][0]["report"]["generator"]["cpu_cores"] = 0.1
        for of_round in self.results["rounds"][1::2]:
            of_round["foreign"] = 0.05
        table = report.unary_table(self.results)
        self.assertIn("| cores of the generator | 0.2 (0.1 to 0.3) | 0.3 (0.3 to 0.3) |  |", table)
        self.assertIn("| cores of everybody else | 0.01 (0.01 to 0.01) | 0.05 (0.05 to 0.05) |  |",
                      table)
        better = report.better_peers(self.results)
        self.assertFalse(any("generator" in line or "else" in line for line in better), better)

    def test_updates_have_a_ratio_to_what_is_as_durable(self):
        self.results["others"].append(sample.update("stream-go", "Go ApplyStream", False, 450_000))
        table = report.updates_table(self.results)
        self.assertIn("| Redis HINCRBY, 64 pipelined | 900,000 | 0.75 | 1.11 | 0.25 | no |", table)
        self.assertIn("| Go ApplyStream | 450,000 | 1.5 |", table)
        self.assertIn("| PostgreSQL upserts | 1,100 |  |", table)
        self.results["others"][0]["at_least"] = True
        self.assertIn("| at least 0.75 |", report.updates_table(self.results))
        self.results["others"][2]["at_least"] = True
        self.assertIn("| at least 900,000 | 0.75 |", report.updates_table(self.results))

    def test_a_server_that_died_leaves_what_it_is_known_to_have_used(self):
        died, lost = sample.closed(40_000, 1.0), sample.closed(41_000, 1.0)
        died["report"]["server"], lost["report"]["server"] = None, {"cpu_us_per_call": None}
        self.results["maxima"]["go"] += [died, lost]
        self.assertEqual(summary.cost_us(self.results, "go").count, 1)

    def test_the_section_says_what_was_not_equal_and_how_it_was_measured(self):
        self.results["command"] = "benches/peers/run --long --rounds 1"
        text = report.readme(self.results)
        self.assertIn("`benches/peers/run --long --rounds 1` repeats it", text)
        for line in [*report.unequal().splitlines(), *report.better_peers(self.results)]:
            self.assertIn(line, text)
        points = [line for line in report.unequal().splitlines() if line.startswith("- ")]
        self.assertTrue(report.unequal().startswith("- ") and len(points) in (3, 4), points)

    def test_a_rate_that_was_asked_for_is_no_half_of_anything(self):
        self.assertIn("half of what the slowest can do", report.markdown(self.results))
        self.results["maxima"] = {}
        self.assertIn("calls a second, as was asked for;", report.markdown(self.results))

    def test_results_are_read_as_they_were_written(self):
        with tempfile.TemporaryDirectory() as folder:
            main.write(self.results, Path(folder), Path(folder) / "more.json")
            files = sorted(path.name for path in Path(folder).iterdir())
            self.assertEqual(files, ["comparison.svg", "more.json", "percentiles.svg", "report.md",
                                     "results.json", "updates.svg"])
            read = json.loads((Path(folder) / "results.json").read_text())
        self.assertEqual(read, self.results)

    def test_places_on_this_machine_are_not_told(self):
        asked = ["--long", "--binary", "/a", "--only", "go", "--json=/b", "--output", "/c"]
        self.assertEqual(main._asked(asked), ["--long", "--only", "go"])
