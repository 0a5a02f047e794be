"""What holds for every test: soak tests on request, and the list of what was NOT RUN.

A test that lacks something (root, a program, Hadoop) is skipped with a reason. The closing report
lists every one, so that a green line never hides them; where CI is set, a skip fails the run.
"""

from __future__ import annotations

import os

import pytest

# Reasons that may skip a test even in CI, word for word. Empty, and meant to stay so.
ALLOWED_IN_CI: frozenset[str] = frozenset()

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run every case of every fault")


def pytest_configure(config: pytest.Config) -> None:
    # Where mkfs and losetup are, also for those whose PATH lacks them.
    missing = [folder for folder in _SBIN if folder not in os.environ["PATH"].split(":")]
    os.environ["PATH"] = ":".join([os.environ["PATH"], *missing])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        return
    left_out = [item for item in items if item.get_closest_marker("soak")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> object:
    result = yield
    left_out = not_run(terminalreporter)
    if left_out:
        terminalreporter.section("NOT RUN", sep="=")
        for name, reason in left_out:
            terminalreporter.line(f"NOT RUN {name}: {reason}")
        if in_ci():
            terminalreporter.line("Where CI is set, nothing may be left out: the run fails.")
    return result


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not in_ci() or session.exitstatus != pytest.ExitCode.OK:
        return
    if not_run(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def not_run(reporter: pytest.TerminalReporter) -> list[tuple[str, str]]:
    """(test, reason) of every skip that is not allowed, sorted."""
    found = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if reason not in ALLOWED_IN_CI:
            found.append((report.nodeid, reason))
    return sorted(found)
