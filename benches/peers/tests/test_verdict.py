"""Which rounds count."""

import copy
import random
import unittest

from harness import verdict
from tests import sample


class Verdicts(unittest.TestCase):
    def setUp(self):
        self.outcome = copy.deepcopy(sample.of_round("rust", 1, random.Random(1)))
        self.report = self.outcome["report"]

    def problems(self):
        return verdict.of_open(self.outcome, 0.1)

    def test_a_round_of_which_nothing_is_wrong_counts(self):
        self.assertEqual(self.problems(), [])

    def test_errors_do_not_count(self):
        self.report["errors"] = {"UNAVAILABLE": 3}
        self.assertEqual(self.problems(), ["errors: 3 UNAVAILABLE"])

    def test_a_generator_at_its_end_measures_itself(self):
        self.report["generator"]["cpu_cores"] = 0.95
        self.assertEqual(self.problems(), ["the generator used 0.95 of its core"])

    def test_the_rate_that_was_offered_is_to_be_answered(self):
        self.report["calls_per_second"] = 20_000.0
        self.report["unsent_calls"] = 5
        self.assertEqual(len(self.problems()), 2)

    def test_others_are_to_be_quiet(self):
        self.outcome["foreign"] = 0.2
        self.assertEqual(self.problems(), ["others used 0.20 cores"])
        self.outcome["foreign"] = None
        self.assertEqual(len(self.problems()), 1)

    def test_what_is_invalid_is_measured_again_and_kept(self):
        told = {1: ["noise"], 2: []}
        found = verdict.attempts(lambda attempt: {"problems": told[attempt]})
        self.assertEqual([one["problems"] for one in found], [["noise"], []])
        found = verdict.attempts(lambda attempt: {"problems": ["noise"]})
        self.assertEqual(len(found), verdict.REPEATS_MAX + 1)
