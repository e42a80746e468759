"""Runs test modules of CPython's own suite, and writes what became of every single test.

    python3.11 walk.py RESULTS MODULE [+ID ... | -PART ...]

One line per test goes to RESULTS as it ends: its id, a tab, its outcome. A line with no outcome says
that the test has begun: what a crash or a hang leaves behind is then the name of the test. With +ID
only these tests run, with -PART all but those whose ids contain it.
"""

import collections
import faulthandler
import importlib
import re
import sys
import unittest

from test import support
from test.support import os_helper

RESULTS, MODULE, *CHOICE = sys.argv[1:]
ONLY = {c[1:] for c in CHOICE if c[0] == "+"}
NOT = [c[1:] for c in CHOICE if c[0] == "-"]


def tell(name, outcome=""):
    # No descriptor stays open: tests count them.
    with open(RESULTS, "a", encoding="utf-8", errors="backslashreplace") as results:
        results.write(f"{name}\t{' '.join(outcome.split())}\n")


class Outcomes(unittest.TextTestResult):
    """What unittest tells, an outcome for each test. The last word counts: a test whose subtest has
    failed is not told to have succeeded, but one whose tearDown fails as well is told twice."""

    seen = collections.Counter()

    def startTest(self, test):
        super().startTest(test)
        # Some modules load the same test twice.
        self.seen[test.id()] += 1
        tell(self.name(test))

    def name(self, test):
        count = self.seen[test.id()]
        return test.id() if count < 2 else f"{test.id()} #{count}"

    def addSuccess(self, test):
        super().addSuccess(test)
        tell(self.name(test), "ok")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        # Some name a file that is called after the process.
        tell(self.name(test), "skipped: " + re.sub(r"\d+", "#", reason))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        tell(self.name(test), "failed")

    def addError(self, test, err):
        super().addError(test, err)
        tell(self.name(test), f"error: {err[0].__name__}")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        tell(self.name(test), "failed as expected")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        tell(self.name(test), "succeeded unexpectedly")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            tell(self.name(test), "a subtest failed")


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def wanted(test):
    name = test.id()
    return name in ONLY if ONLY else not any(part in name for part in NOT)


def main():
    faulthandler.enable()
    # No network, no audio, no gigabytes: only what every machine has.
    support.use_resources = []
    if MODULE == "test_socketserver":
        # It asks for the network, and means loopback.
        support.use_resources = ["network"]
    support.verbose = 2
    with os_helper.temp_cwd(None):
        try:
            module = importlib.import_module(f"test.{MODULE}")
        except unittest.SkipTest as skip:
            return tell(MODULE, f"skipped: {skip}")
        tests = filter(wanted, flat(unittest.defaultTestLoader.loadTestsFromModule(module)))
        unittest.TextTestRunner(sys.stderr, verbosity=2, resultclass=Outcomes).run(unittest.TestSuite(tests))
        support.reap_children()
    tell(MODULE, "ended")


# Children that multiprocessing spawns import this file again.
if __name__ == "__main__":
    main()
