"""Starting, watching and ending the processes of a benchmark. Everything started here is ended by its own pid."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def unprivileged(command):
    """`command` as the user postgres when we are root: PostgreSQL and most poolers refuse to run as root."""
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
            family = self.family()
            self.child.send_signal(self.stop_signal)
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                for pid in family:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
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

    def family(self):
        """Its pid and those of all processes that descend from it: some proxies fork for every client."""
        children = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := stat(entry)):
                children.setdefault(int(fields[1]), []).append(int(entry.name))
        found = [self.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def usage(self):
        """Of all its processes, as of now: CPU in µs (user and system, by the tick; both together, exactly), voluntary
        context switches, memory in bytes."""
        family = self.family()
        folders = [pathlib.Path("/proc") / str(pid) for pid in family]
        return {
            **cpu(folders),
            "switches": sum(voluntary_switches(folder) for folder in folders),
            "memory": resident(folders[0]) if len(folders) == 1 else sum(proportional(folder) for folder in folders),
        }


def stat(folder):
    """What follows the command's name, which may hold spaces, in proc(5)'s `stat`; empty when the process has gone."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu(folders):
    user = system = every = 0
    for folder in folders:
        if fields := stat(folder):
            # children that have ended count for their parent
            own_user, own_system, ended_user, ended_system = (int(ticks) * 1_000_000 // TICK for ticks in fields[11:15])
            user += own_user + ended_user
            system += own_system + ended_system
            # the sum over threads is exact, but forgets those that have ended
            every += max(own_user + own_system, running_time(folder)) + ended_user + ended_system
    return {"user": user, "system": system, "cpu": every}


def running_time(folder):
    """CPU in µs of all threads that live."""
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in (folder / "task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])  # ns
    return total / 1000


def voluntary_switches(folder):
    """Of the threads that live: how often they have waited, which leaves out how often others took their core."""
    count = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in (folder / "task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that ended meanwhile
                count += number(task / "status", "voluntary_ctxt_switches")
    return count


def resident(folder):
    return number(folder / "status", "VmRSS") * 1024


def proportional(folder):
    """Resident memory, with what several processes share divided among them."""
    try:
        return number(folder / "smaps_rollup", "Pss") * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0


def number(path, name):
    lines = path.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def program(*names):
    """The first of `names` that can be run, in the PATH or where Debian keeps daemons."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)
