"""A process that forks: its children have a guard that works."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import Server, Service, Stack, address, serving

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


SECONDS = float(os.environ.get("GUARD_TEST_KILLS", "60"))
"""For how long workers are killed."""


def test_workers_that_are_killed_under_load(
    log: Path, tmp_path: Path, own_service: Service
) -> None:
    listed = own_service.listed()
    clients = [listed, *(address() for _ in range(8))]
    options = ("--preload", "-w", "4", "--graceful-timeout", "5")
    settings = {"state_dir": str(tmp_path / "state"), "max_wait": "2s"}
    with serving(STACK, log, own_service, *options, **settings) as server:
        load = Load(server, listed, clients)
        threads = [threading.Thread(target=load.run, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        end, kills = time.monotonic() + SECONDS, 0
        while time.monotonic() < end and not load.failures:
            time.sleep(1)
            # Every other one is killed without a word.
            kill = signal.SIGKILL if kills % 2 else signal.SIGTERM
            kills += bool(server.signal_children(kill))
        load.ends.set()
        for thread in threads:
            thread.join(30)
        hanging = [thread for thread in threads if thread.is_alive()]
        print(f"{load.answered} answers, {kills} workers ended, {load.lost} connections lost")
        assert not load.failures, load.failures[:5]
        assert not hanging
        assert load.answered > 100
        # At most one request of each thread is in a worker that is killed.
        assert load.lost <= kills * len(threads)


STACK = Stack("flask", "gunicorn", "gthread")


class Load:
    """Requests of listed and clean clients. One that its worker took along is sent again."""

    def __init__(self, server: Server, listed: str, clients: list[str]) -> None:
        self.server, self.listed, self.clients = server, listed, clients
        self.failures: list[str] = []
        self.answered = self.lost = 0
        self.ends = threading.Event()

    def run(self, number: int) -> None:
        while not self.ends.is_set():
            client = self.clients[(number + self.answered) % len(self.clients)]
            try:
                status = self.server.status("/admin", client)
            except (ConnectionError, http.client.HTTPException):
                self.lost += 1
                continue
            except Exception as error:
                self.failures.append(repr(error))
                return
            self.answered += 1
            if status != (403 if client == self.listed else 200):
                self.failures.append(f"{client}: {status}")
