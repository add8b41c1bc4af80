"""What is read from the kernel and from the programs that are measured."""

import os
import unittest

from harness import gctrace, postgres, proc, redis
from harness.proc import Machine, Moment
from harness.updates import UpdateError

COLLECTION = ("gc 12 @241.5s 3%: 0.05+1234+0.02 ms clock, 0.05+100/1200/0+0.02 ms cpu, "
              "2900->3000->1500 MB, 3000 MB goal, 0 MB stacks, 0 MB globals, 1 P")


class Kernel(unittest.TestCase):
    def test_a_process_is_found_whatever_its_name_is(self):
        ticks = proc.TICKS_PER_SECOND
        line = f"42 (a) (b c) S 7 2 3 4 5 6 7 8 9 10 {2 * ticks} {ticks} {ticks} 0 20 0"
        self.assertEqual(proc.parse_stat(line), proc.Stat(7, 4.0))
        self.assertIsNone(proc.parse_stat("nonsense"))

    def test_a_tree_has_all_descendants(self):
        of_all = {1: proc.Stat(0, 1.0), 5: proc.Stat(1, 2.0), 6: proc.Stat(5, 3.0),
                  9: proc.Stat(0, 4.0)}
        self.assertEqual(sorted(proc.tree(1, of_all)), [1, 5, 6])
        self.assertEqual(proc.tree(2, of_all), [])

    def test_this_process_is_found(self):
        self.assertGreater(proc.rss_bytes(os.getpid()), 0)
        self.assertIn(os.getpid(), proc.stats())
        self.assertIsNone(proc.stat_of(2**31))

    def test_interrupts_are_of_no_process(self):
        ticks = proc.TICKS_PER_SECOND
        line = f"cpu {ticks} {ticks} {ticks} 900 900 900 900 {2 * ticks} 0 0"
        self.assertEqual(proc.parse_machine(line), Machine(3.0, 2.0))

    def test_foreign_is_what_is_left_and_what_was_stolen(self):
        before = Moment(10.0, Machine(100.0, 1.0), 5.0, 3.0, 1.0, 7)
        after = Moment(12.0, Machine(103.0, 1.2), 6.0, 4.0, 1.5, 8)
        cores = proc.cores(before, after)
        self.assertEqual(cores, {"server": 0.5, "generator": 0.5, "foreign": 0.35})
        rows = proc.series([before, after], 11.0)
        self.assertEqual([(row["at"], row["rss"]) for row in rows], [])
        rows = proc.series([before, after], 10.2)
        self.assertEqual([(row["at"], row["rss"]) for row in rows], [(1.8, 8)])


class Programs(unittest.TestCase):
    def test_a_collection_is_read(self):
        found = gctrace.parse(COLLECTION)
        self.assertEqual((found["at"], found["stopped_ms"], found["marking_ms"]),
                         (241.5, 0.07, 1234.0))
        self.assertEqual((found["heap_mb_before"], found["heap_mb_after"]), (2900, 1500))
        self.assertIsNone(gctrace.parse("listening grpc=127.0.0.1:1"))

    def test_collections_count_from_where_measuring_began(self):
        log = "\n".join(["listening", COLLECTION, COLLECTION.replace("@241.5", "@900.0")])
        found = gctrace.within(log, started=1_000.0, from_=1_200.0, seconds=600.0)
        self.assertEqual([one["at"] for one in found], [41.5])

    def test_what_began_because_two_minutes_had_passed_was_forced(self):
        again = COLLECTION.replace("@241.5", "@242.5")
        log = "\n".join([COLLECTION + " (forced)", "GC forced", "another", again, COLLECTION])
        found = gctrace.within(log, started=0.0, from_=0.0, seconds=600.0)
        self.assertEqual([one["forced"] for one in found], [False, True, False])

    def test_rates_of_other_programs_are_read(self):
        told = '"test","rps","avg_latency_ms"\n"HINCRBY a b 1","123456.78","0.1"\n'
        self.assertEqual(redis.rate_of(told), 123456.78)
        told = "latency average = 1 ms\ntps = 987.6 (without initial connection time)\n"
        self.assertEqual(postgres.rate_of(told), 987.6)
        for rate_of in (redis.rate_of, postgres.rate_of):
            self.assertRaises(UpdateError, rate_of, "nothing")
