"""Starts processes, waits until each is ready, sees when one ends, and ends them by pid."""

import os
import shutil
import signal
import subprocess
import sys
import time

READY_WITHIN = 60
# Longer than any of them takes with the settings below.
STOP_WITHIN = 15


class Trouble(Exception):
    """Why it does not go on; said without a traceback."""


class Processes:
    """All that was started; each writes to a file of its own in the folder."""

    def __init__(self, folder):
        self.folder = folder
        self.running = {}
        # Where this script is killed outright, the kernel ends what it started.
        setpriv = shutil.which("setpriv")
        self.prefix = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []

    def start(self, name, command, environment):
        # Nothing that the shell has set may change what the files say.
        clean = {key: value for key, value in os.environ.items() if not key.startswith("REDCAST_")}
        with open(self.folder / f"{name}.log", "wb") as log:
            self.running[name] = subprocess.Popen(
                [*self.prefix, *command], env=clean | environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
                # Ctrl-C comes to them through this script alone: a second one ends a gateway at once.
                start_new_session=True,
            )

    def look(self):
        """Raises if one of them is no more."""
        for name, process in self.running.items():
            status = process.poll()
            if status is not None:
                raise Trouble(f"{name} ended ({how(status)}); its last words:\n{self.last_words(name)}")

    def last_words(self, name):
        lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-10:]) or "  (none)"

    def wait_until(self, name, ready):
        end = time.monotonic() + READY_WITHIN
        while time.monotonic() < end:
            self.look()
            try:
                if ready():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise Trouble(f"{name} is not ready after {READY_WITHIN} s; its last words:\n{self.last_words(name)}")

    def stop(self):
        """Ends all of them, those first that were started last; says who had to be killed."""
        for name, process in reversed(self.running.items()):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                print(f"{name} (pid {process.pid}) did not end in {STOP_WITHIN} s and is killed", file=sys.stderr)
                process.kill()
                process.wait()


def how(status):
    return f"exit code {status}" if status >= 0 else signal.Signals(-status).name
