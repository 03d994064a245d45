"""The disk seam: jobs in order, the caller never blocked."""

import threading

import pytest

from gateway.store.worker import InlineWorker, ThreadWorker


def test_inline_runs_at_once_on_the_caller():
    """No thread, no delay."""
    seen = []
    worker = InlineWorker()
    worker.submit(lambda: seen.append(threading.get_ident()))
    worker.close()
    assert seen == [threading.get_ident()]


def test_the_thread_keeps_the_order():
    """One thread for all jobs, in the order of submit."""
    seen, done = [], threading.Event()
    worker = ThreadWorker("order")
    for number in range(100):
        worker.submit(lambda number=number: seen.append((number, threading.get_ident())))
    worker.submit(done.set)
    assert done.wait(5)
    worker.close()
    assert [number for number, _ in seen] == list(range(100))
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_jobs_before_close_still_run():
    """Close is the last job, not a cut."""
    done = threading.Event()
    worker = ThreadWorker("close")
    worker.submit(done.set)
    worker.close()
    assert done.wait(5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the bug is the point of this test
def test_a_bug_in_a_job_does_not_stop_the_lane():
    """Another thread goes on with the next job."""
    ended, done = threading.Event(), threading.Event()
    worker = ThreadWorker("bug")

    def bug():
        worker_thread = threading.current_thread()
        threading.Thread(target=lambda: (worker_thread.join(), ended.set())).start()
        raise ZeroDivisionError

    worker.submit(bug)
    assert ended.wait(5)
    worker.submit(done.set)
    assert done.wait(5)
    worker.close()
