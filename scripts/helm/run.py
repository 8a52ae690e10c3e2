"""Runs the tests beside this file and prints one line for each thing that is wrong."""

import sys
import time
import unittest
from pathlib import Path

import chart


class Told(unittest.TestResult):
    """Counts, and keeps of each failure the one line that says what is wrong."""

    def __init__(self):
        super().__init__()
        self.passed, self.wrong, self.left_out = 0, {}, []

    def addSuccess(self, test):
        self.passed += 1

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.left_out.append(f"{test.id()}: {reason}")

    def _tell(self, test, failure):
        kind, error, _ = failure
        text = " ".join(str(error).split())
        if kind not in (AssertionError, ValueError):
            text = f"{kind.__name__}: {text}"
        # A value set that can't be rendered fails every test in the same words.
        self.wrong.setdefault(text[:900], []).append(test.id())

    def addFailure(self, test, failure):
        super().addFailure(test, failure)
        self._tell(test, failure)

    def addError(self, test, failure):
        super().addError(test, failure)
        self._tell(test, failure)

    def addSubTest(self, test, subtest, failure):
        super().addSubTest(test, subtest, failure)
        if failure:
            self._tell(subtest, failure)


def refused_defaults():
    """What each Helm says of the least that can be set, where every other test would say it, too."""
    for helm in chart.HELMS:
        ran = chart.template(helm, chart.REDIS)
        if ran.returncode != 0:
            yield f"{helm} renders nothing: {' '.join(ran.stderr.split())}"


def main():
    here = Path(__file__).parent
    wrong = list(refused_defaults())
    for line in wrong:
        print(f"FAILED  {line}")
    if wrong:
        return 1
    began = time.monotonic()
    pattern = f"test_{sys.argv[1]}.py" if len(sys.argv) > 1 else "test_*.py"
    told = Told()
    unittest.defaultTestLoader.discover(str(here), pattern).run(told)
    for line in told.left_out:
        print(f"note: left out: {line}")
    for text, tests in told.wrong.items():
        others = f" (and {len(tests) - 1} more)" if len(tests) > 1 else ""
        print(f"FAILED  {tests[0]}{others}: {text}")
    print(f"chart: {told.testsRun} tests in {time.monotonic() - began:.1f} s")
    print(f"{told.passed} passed, {len(told.wrong)} failed")
    return 1 if told.wrong or not told.passed else 0


sys.exit(main())
