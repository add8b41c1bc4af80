"""Medians, spreads, ratios, and how they are written."""

import unittest

from harness import stats
from harness.stats import Spread


class Figures(unittest.TestCase):
    def test_a_spread_is_of_the_values_there_are(self):
        self.assertEqual(Spread.of([3, None, 1, 2]), Spread(2, 1, 3, 3))
        self.assertIsNone(Spread.of([None]))

    def test_a_ratio_spreads_as_far_as_any_two_repetitions(self):
        ratio = Spread.of([10, 20]).divided_by(Spread.of([4, 5, 8]))
        self.assertEqual((ratio.median, ratio.least, ratio.most), (3.0, 1.25, 5.0))
        self.assertIsNone(Spread.of([1]).divided_by(Spread.of([0])))

    def test_figures_are_short(self):
        self.assertEqual([stats.figure(one) for one in (0, 0.5, 12.34, 1234.5)],
                         ["0", "0.5", "12.3", "1,234"])
        self.assertEqual([stats.thousands(one) for one in (999, 66_712, 1_234_567)],
                         ["999", "66,700", "1,230,000"])
        self.assertEqual([stats.duration(one) for one in (250, 1_234, 2_500_000)],
                         ["250 µs", "1.23 ms", "2.5 s"])
        self.assertEqual([stats.mebibytes(one) for one in (1 << 20, 3 << 30)],
                         ["1 MiB", "3.00 GiB"])
        self.assertEqual(stats.shown(Spread(2, 1, 3, 3)), "2 (1 to 3)")
        self.assertEqual(stats.shown(Spread(2, 2, 2, 1)), "2")
