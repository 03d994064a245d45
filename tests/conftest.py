"""For all tests: no event loop is made behind anybody's back, and CI skips nothing it could install."""

import asyncio
import os

import pytest

# pytest-asyncio asks for "the current loop" where there is none; unless one was set before (even None), the policy
# then makes one that nobody closes, and the warning of it lands on some innocent test.
asyncio.set_event_loop(None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With GENGFU_NO_SKIPS (set by .ci/run) a skipped test is a failed one; but for what no installation can give, such as
    a kernel that lets nobody boot a container."""
    outcome = yield
    report = outcome.get_result()
    excused = report.skipped and "this kernel" in str(report.longrepr)
    if report.skipped and not excused and os.environ.get("GENGFU_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
