"""For the whole suite: the stories of real processes first, and the requirement table.

The stories mostly wait, so the workers of `make test` fill their waits with the rest;
at the end, one worker alone would wait for them. A whole run fails when a test
that docs/ocpp/requirements.csv names has not run and passed.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests import requirements

STORIES = ("tests/scenario/", "tests/fault/")
INTEROP = "tests/interop/"

# No clock decides whether a law holds: a loaded machine is slow, not wrong.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After pytest-randomly has shuffled; stable beyond that."""
    items.sort(key=lambda item: not item.nodeid.startswith(STORIES))


class Ran:
    """Which tests have passed; lives in the process that hears of all of them."""

    def __init__(self, config: pytest.Config, *, interop: bool) -> None:
        self.passed: set[str] = set()
        self.failed: set[str] = set()
        self.missing: list[str] = []
        self._config = config
        self._interop = interop

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.partition("[")[0]
        if report.failed:
            self.failed.add(name)
        elif report.passed and report.when == "call":
            self.passed.add(name)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        named = {
            test
            for row in requirements.read()
            for test in row.named
            if test.startswith(INTEROP) == self._interop
        }
        self.missing = sorted(named - self.passed - self.failed)
        if self.missing:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        for name in self.missing:
            terminalreporter.write_line(
                f"{name}: named by docs/ocpp/requirements.csv, but did not run and pass"
            )


def pytest_configure(config: pytest.Config) -> None:
    """Only a whole run can tell; a worker hears of its own tests only."""
    whole = config.args == list(config.getini("testpaths"))
    options = vars(config.option)  # some are missing when their plugin is off
    some = ("keyword", "lf", "maxfail", "collectonly", "deselect")
    chosen = any(options.get(name) for name in some)
    suite = options.get("markexpr", "")
    if suite == "story":  # no requirement rests on one
        return
    if whole and not chosen and not hasattr(config, "workerinput"):
        ran = Ran(config, interop=suite == "interop")
        config.pluginmanager.register(ran, "requirements-ran")
