"""What is asked for on the command line."""

import contextlib
import io
import unittest

from harness import options


class Options(unittest.TestCase):
    def test_the_short_form_is_the_default(self):
        asked = options.parse([])
        self.assertEqual(asked.form, options.SHORT)
        self.assertEqual(asked.names, ("go", "rust", "streams", "redis", "postgres"))

    def test_keys_are_a_quarter_more_than_are_resident(self):
        for form in (options.SHORT, options.LONG):
            self.assertEqual(form.users * form.channels * 4, form.entries * 5)
        asked = options.parse(["--entries", "10000", "--only", "rust", "--only", "rust"])
        self.assertEqual((asked.form.users, asked.names), (125, ("rust",)))

    def test_a_long_round_has_room_for_forced_collections(self):
        self.assertGreaterEqual(options.LONG.open_seconds, 600)

    def test_what_is_unknown_is_refused(self):
        with contextlib.redirect_stderr(io.StringIO()):
            for wrong in (["--only", "mysql"], ["--short", "--long"], ["--rounds", "many"]):
                with self.assertRaises(SystemExit):
                    options.parse(wrong)
