"""The real program as child processes, and what tests need to talk to it."""

import json
import os
import shutil
import signal
import subprocess
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import grpc
from participant import Participant

ROOT = Path(__file__).resolve().parents[3]
# The program under test: CHITCHAT_BIN, or the debug build.
PROGRAM = Path(os.environ.get("CHITCHAT_BIN") or ROOT / "target/debug/chitchat")
# How long anything may take: far longer than normal, so that no test fails on a busy machine.
DEADLINE_SECONDS = 30
POLL_SECONDS = 0.02


class ServiceTest(unittest.TestCase):
    """Gives each test its own service and log folder."""

    # Options of the service beyond its address, journal and log folder.
    SERVE_OPTIONS: list[str] = []

    def setUp(self):
        self.folder = ROOT / "target/test-run/interop" / self.id()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--journal", "memory", "--log-dir", self.folder]
        command += self.SERVE_OPTIONS
        self.server = self.start("server", command)
        # This cleanup runs last: whatever a test did, the service must stop in good order.
        self.addCleanup(self.stop, self.server)
        self.address = self.wait_for(self.server, lambda: self.records("server.jsonl", "server_started"))[0]["address"]

    def participant(self, display_name: str, **options) -> Participant:
        """A participant over a new connection with these options; it has not joined yet."""
        channel = grpc.insecure_channel(self.address, **options)
        self.addCleanup(channel.close)
        return Participant(channel, display_name, timeout=DEADLINE_SECONDS)

    def start(self, name: str, command: list, **options) -> subprocess.Popen:
        """Starts a child process; its output is in the test's folder unless the options say otherwise."""
        environment = {**os.environ, **options.pop("env", {})}
        with open(self.folder / f"{name}.out", "wb") as out, open(self.folder / f"{name}.err", "wb") as err:
            options = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, **options}
            process = subprocess.Popen(command, env=environment, start_new_session=True, **options)
        self.addCleanup(self.kill, process)
        return process

    def stop(self, process: subprocess.Popen):
        process.terminate()
        self.assertEqual(process.wait(DEADLINE_SECONDS), 0, "the service did not stop in good order")
        # Whatever a test did, its logs must prove that the order held.
        verify = [PROGRAM, "verify", *sorted(self.folder.glob("*.jsonl"))]
        verdict = subprocess.run(verify, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
        self.assertEqual(verdict.returncode, 0, verdict.stdout + verdict.stderr)

    @staticmethod
    def kill(process: subprocess.Popen):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdin:
            process.stdin.close()

    def wait_for(self, process: subprocess.Popen, condition: Callable):
        """Waits until a condition holds or the process ends; returns what the condition returned."""
        give_up = time.monotonic() + DEADLINE_SECONDS
        while not (result := condition()):
            try:
                process.wait(POLL_SECONDS)
                self.assertTrue(result := condition(), f"{process.args} ended first: {self.folder}")
                return result
            except subprocess.TimeoutExpired:
                self.assertLess(time.monotonic(), give_up, f"{process.args} took too long: {self.folder}")
        return result

    def records(self, log: str, event: str) -> list[dict]:
        """The complete log records of an event so far."""
        path = self.folder / log
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        records = [json.loads(line) for line in lines if line.endswith("\n")]
        return [record for record in records if record["event"] == event]
