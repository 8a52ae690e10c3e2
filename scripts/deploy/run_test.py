"""What scripts/deploy/run makes of what its checks say."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import targets

HERE = Path(__file__).resolve().parent
LOADER = importlib.machinery.SourceFileLoader("run", str(HERE / "run"))
RUN = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", LOADER))
LOADER.exec_module(RUN)


class Scripts(unittest.TestCase):
    def judged(self, said, code, environment):
        """Whether all is well with a script that says this, and the line for it."""
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, environment):
            script = Path(folder, "script")
            script.write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
            script.chmod(0o755)
            line = io.StringIO()
            with contextlib.redirect_stdout(line):
                good = RUN.run_check("script", lambda: RUN.script_findings(script))
        return good, line.getvalue()

    def test_what_a_script_left_out_is_told(self):
        good, line = self.judged("note: promtool is not there", 0, {"CI": ""})
        self.assertTrue(good)
        self.assertEqual(line, "note    script: not checked: promtool is not there\n")

    def test_where_nobody_reads_notes_it_is_a_failure(self):
        good, line = self.judged("note: promtool is not there", 0, {"CI": "1"})
        self.assertFalse(good)
        self.assertIn("FAILED", line)

    def test_findings_are_told_with_their_notes(self):
        good, line = self.judged("note: one", 1, {"CI": ""})
        self.assertFalse(good)
        self.assertIn("  note: one", line)

    def test_a_script_that_is_content(self):
        good, line = self.judged("27 alerts", 0, {"CI": "1"})
        self.assertTrue(good)
        self.assertTrue(line.startswith("ok      script ("), line)


class Targets(unittest.TestCase):
    def test_what_somebody_may_type_is_found(self):
        page = "We make it so:\nmake no\n```sh\nmake one ROWS=2  # as `make two`\n$ make three\n```\n`make`, `CI=1 make four-five`\n"
        self.assertEqual(targets.named(page, markdown=True), ["one", "two", "three", "four-five"])
        script = "# It may make sense, see `make one`.\n  exec make two\n"
        self.assertEqual(targets.named(script, markdown=False), ["one", "two"])


if __name__ == "__main__":
    unittest.main()
