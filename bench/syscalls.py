"""System calls per transaction of a proxy, from a short run of their own."""

import pathlib
import re
import signal
import subprocess

from processes import program
from workloads import run_counted

# Others are in the sum, but not named.
USUAL = (
    "sendto", "recvfrom", "sendmsg", "recvmsg", "read", "write", "readv", "writev", "epoll_wait", "epoll_pwait",
    "epoll_ctl", "poll", "ppoll", "select", "pselect6", "futex", "splice",
)
EVERY = "raw_syscalls:sys_enter"
EVENTS = [EVERY, *(f"syscalls:sys_enter_{name}" for name in USUAL)]


def perf_works():
    """Whether perf can count: it needs the kernel's trace points and the right to use them."""
    if not program("perf"):
        return False
    done = subprocess.run([*perf("/dev/stderr"), "true"], capture_output=True, text=True)
    return done.returncode == 0 and re.search(rf"^\d+,,{EVERY},", done.stderr, re.MULTILINE) is not None


def perf(output, pids=()):
    """perf, as it is put in front of a command; counts what the command does, or else `pids` while it runs."""
    whose = ["-p", ",".join(map(str, pids))] if pids else []
    return ["perf", "stat", "-x", ",", "-o", str(output), "-e", ",".join(EVENTS), *whose, "--"]


def counter(wanted):
    """The name of what counts: perf, strace, or none with a line that says why."""
    if wanted == "off":
        return None
    if wanted in ("auto", "perf") and perf_works():
        return "perf"
    if wanted in ("auto", "strace") and program("strace"):
        return "strace"
    print(f"system calls are not counted: {'neither perf nor strace' if wanted == 'auto' else wanted} works here")
    return None


def count(tool, cluster, running, load):
    """System calls per transaction, in all and by name, the most frequent first."""
    output = cluster.folder / f"{tool}-{running.port}-{load.workload}"
    transactions, counts = {"perf": by_perf, "strace": by_strace}[tool](cluster, running, load, output)
    per = {name: calls / transactions for name, calls in counts.items() if calls}
    if not per:
        raise RuntimeError(f"{tool} has seen none")
    every = per.pop(EVERY, None) or sum(per.values())
    return every, dict(sorted(per.items(), key=lambda item: -item[1]))


def by_perf(cluster, running, load, output):
    transactions = run_counted(cluster, running.port, load, perf(output, running.process.family()))
    found = re.findall(r"^(\d+),,([\w:]+),", output.read_text(), re.MULTILINE)
    return transactions, {name.removeprefix("syscalls:sys_enter_"): int(calls) for calls, name in found}


def by_strace(cluster, running, load, output):
    family = running.process.family()
    pids = [word for pid in family for word in ("-p", str(pid))]
    command = ["strace", "-f", "-c", "-U", "calls,name", "-o", str(output), *pids]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:
        for _ in family:
            tracer.stderr.readline()  # "attached"
        transactions = run_counted(cluster, running.port, load)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
    found = re.findall(r"^\s*(\d+)\s+(\w+)$", pathlib.Path(output).read_text(), re.MULTILINE)
    return transactions, {name: int(calls) for calls, name in found if name != "total"}
