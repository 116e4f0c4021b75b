"""Starting, watching and ending the processes of a benchmark. Everything started here is ended by its own pid."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def unprivileged(command):
    """`command` as the user postgres when we are root: PostgreSQL and PgBouncer refuse to run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *command]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tail(path, lines=15):
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


class Process:
    """A running program with its log; a context manager that ends it."""

    def __init__(self, name, command, log, stop=signal.SIGTERM, cwd=None):
        self.name, self.log, self.stop_signal = name, log, stop
        with log.open("wb") as out:
            # a session of its own: Ctrl-C reaches us first, and we end it in order
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, start_new_session=True
            )
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.send_signal(self.stop_signal)
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def wait_until(self, ready, seconds=60):
        """Waits for `ready()`; a process that ends or stays silent shows the end of its log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.child.poll() is not None or time.monotonic() > deadline:
                what = "ended" if self.child.poll() is not None else "does not answer"
                raise RuntimeError(f"{self.name} {what}:\n{tail(self.log)}")
            time.sleep(0.1)

    def thread_cpu(self):
        """CPU of its main thread in seconds, and its threads' names, as of now."""
        task = pathlib.Path("/proc") / str(self.pid) / "task"
        names = sorted((thread / "comm").read_text().strip() for thread in task.iterdir())
        # nanoseconds; the ticks in `stat` are too coarse for one percent of a core
        return int((task / str(self.pid) / "schedstat").read_text().split()[0]) / 1e9, names

    def usage(self):
        """CPU in µs (user, system), context switches of its threads, and resident memory in bytes, as of now."""
        proc = pathlib.Path("/proc") / str(self.pid)
        # behind the command's name, which may hold spaces: fields 14 and 15 of proc(5)
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        user, system = (int(ticks) * 1_000_000 // TICK for ticks in fields[11:13])
        switches = 0
        for task in (proc / "task").iterdir():
            try:
                status = (task / "status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # a thread that ended meanwhile
            switches += sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)
        status = (proc / "status").read_text().splitlines()
        rss = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
        return {"user": user, "system": system, "switches": switches, "rss": rss}


def program(*names):
    """The first of `names` that can be run, in the PATH or where Debian keeps daemons."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)
