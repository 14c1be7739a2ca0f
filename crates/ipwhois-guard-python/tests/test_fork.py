"""A process that forks: its children have a guard that works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import Service, Stack, address, serving

# The child has neither the parent's threads nor, perhaps, its locks. So it runs in a process that
# the test can kill.
SCRIPT = """
import os, sys, threading, time
from ipwhois_guard import Guard

url, when, listed, clean = sys.argv[1:]
guard = Guard(api_url=url, feed_url="", max_wait="5s", api_timeout="10s")

def work():
    verdict = guard.check(listed)
    assert not verdict.allowed, verdict
    assert guard.check(clean).allowed
    with guard.login_attempt(clean) as attempt:
        attempt.succeeded()
    guard.health()

if when == "before":
    pass
elif when == "after":
    assert guard.check(clean).allowed
else:
    thread = threading.Thread(target=guard.check, args=("26.250.0.1",))
    thread.start()
    while not guard.core.is_started:
        time.sleep(0.001)
    time.sleep(0.05 if when == "amid" else 0)
child = os.fork()
if child == 0:
    work()
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
if when.startswith("amid"):
    thread.join()
work()
"""


def fork(service: Service, when: str) -> None:
    command = [sys.executable, "-c", SCRIPT, service.url, when, service.listed(), address()]
    subprocess.run(command, check=True, timeout=60)


def test_a_guard_made_before_a_fork(service: Service) -> None:
    fork(service, "before")


def test_a_guard_used_before_a_fork(service: Service) -> None:
    fork(service, "after")


def test_a_fork_amid_a_check(own_service: Service) -> None:
    own_service.tell("behave delay 1000")
    fork(own_service, "amid")


def test_a_fork_amid_the_start(own_service: Service) -> None:
    own_service.tell("behave delay 300")
    for _ in range(5):
        fork(own_service, "amid-start")


def test_forks_of_a_process_that_checks_all_the_time(service: Service) -> None:
    script = """
import os, sys, threading
from ipwhois_guard import Guard

guard = Guard(api_url=sys.argv[1], feed_url="", max_wait="5s", daily_budget=1_000_000)
ends = threading.Event()

def busy(third):
    n = 0
    while not ends.is_set():
        n += 1
        guard.check(f"27.{third}.{n % 250}.{n // 250 % 250}")

threads = [threading.Thread(target=busy, args=(n,)) for n in range(2)]
for thread in threads: thread.start()
children = []
for n in range(20):
    child = os.fork()
    if child == 0:
        assert not guard.check(sys.argv[2]).allowed
        os._exit(0)
    children.append(child)
statuses = [os.waitpid(child, 0)[1] for child in children]
ends.set()
for thread in threads: thread.join()
assert set(statuses) == {0}, statuses
"""
    command = [sys.executable, "-c", script, service.url, service.listed()]
    subprocess.run(command, check=True, timeout=120)


def test_multiprocessing_workers(service: Service) -> None:
    script = """
import multiprocessing, sys
from ipwhois_guard import Guard

guard = Guard(api_url=sys.argv[1], feed_url="")

def allowed(ip):
    return guard.check(ip).allowed

if __name__ == "__main__":
    guard.check("10.0.0.1")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map(allowed, [sys.argv[2]] * 20)
    assert found == [False] * 20, found
"""
    command = [sys.executable, "-c", script, service.url, service.listed()]
    subprocess.run(command, check=True, timeout=60)


SECONDS = float(os.environ.get("IPWHOIS_GUARD_TEST_KILLS", "60"))


def test_workers_that_are_killed_under_load(
    log: Path, tmp_path: Path, own_service: Service
) -> None:
    stack = Stack("flask", "gunicorn", "gthread")
    listed = own_service.listed()
    clients = [listed, *(address() for _ in range(8))]
    options = ("--preload", "-w", "4", "--graceful-timeout", "5")
    with serving(
        stack, log, own_service, *options, state_dir=str(tmp_path / "state"), max_wait="2s"
    ) as server:
        failures: list[str] = []
        answered = [0]
        ends = threading.Event()

        def load(number: int) -> None:
            while not ends.is_set():
                client = clients[(number + answered[0]) % len(clients)]
                status = server.status("/admin", client)
                answered[0] += 1
                if status != (403 if client == listed else 200):
                    failures.append(f"{client}: {status}")

        def attempt(number: int) -> None:
            try:
                load(number)
            except Exception as error:
                failures.append(repr(error))

        server.status("/admin", listed)
        threads = [threading.Thread(target=attempt, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + SECONDS
        kills = 0
        while time.monotonic() < end and not failures:
            time.sleep(1)
            # A polite end: a worker that dies by SIGKILL takes its open requests with it, with any
            # guard and with none.
            kills += bool(server.signal_children(signal.SIGTERM))
        ends.set()
        for thread in threads:
            thread.join(30)
        hanging = [thread for thread in threads if thread.is_alive()]
        print(f"{answered[0]} answers, {kills} workers ended, {own_service.checks()} checks")
        assert not failures, failures[:5]
        assert not hanging
        assert answered[0] > 100
