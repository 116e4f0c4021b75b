"""The command line of run.py and freshness.py: one does for both."""

import argparse
import sys

from workloads import WORKLOADS

MEASUREMENTS = ("offload", "reopen", "strong")  # of freshness.py
PARTS = ("copy", "logins", "idle", "sweep", "fairness")  # of run.py, besides the workloads
QUICK = {
    "seconds": 1, "rounds": 1, "clients": "16,2000", "syscalls": "off", "idle": "1000", "copy_mib": 32,
    "login_seconds": 1, "freshness_seconds": 0.3, "freshness_rounds": 1,
    # fairness takes a long run
    "only": "select-prepared,tpcb-prepared,mix,copy,logins,idle,sweep",
}


def names(text):
    return [name for name in text.split(",") if name]


def numbers(text):
    try:
        found = [int(name) for name in names(text)]
    except ValueError:
        found = [0]
    if any(number < 1 for number in found):
        raise argparse.ArgumentTypeError(f"{text}: numbers above 0, separated by commas, are wanted")
    return found


def arguments(description):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="COMMAND may hold {url} (all nodes), {listen}, {port}, {primary} (host:port) and {primary_port}.",
    )
    add_hop(parser.add_argument_group("run.py"))
    add_freshness(parser.add_argument_group("freshness.py"))
    parser.add_argument("--quick", action="store_true", help="other defaults: a first look in two minutes")
    if "--quick" in sys.argv:
        parser.set_defaults(**QUICK)
    options = parser.parse_args()
    options.only = set(names(options.only))
    options.measure = names(options.measure) or list(MEASUREMENTS)
    if unknown := set(options.measure) - set(MEASUREMENTS):
        parser.error(f"--measure: unknown {', '.join(sorted(unknown))}")
    return options


def add_hop(group):
    group.add_argument("--seconds", type=float, default=2, help="of one run (2)")
    group.add_argument("--rounds", type=int, default=3, help="runs of each contestant in each workload (3)")
    group.add_argument(
        "--clients", type=numbers, default="1,16,256,2000",
        help="of pgbench: the table is for 16 or the first of these, the sweep for all (1,16,256,2000)",
    )
    group.add_argument("--threads", type=int, default=2, help="of pgbench (2)")
    group.add_argument("--scale", type=int, default=10, help="of pgbench's tables (10)")
    group.add_argument(
        "--only", default="",
        help=f"these workloads, parts ({', '.join(PARTS)}) and contestants, by name, separated by commas",
    )
    group.add_argument("--contestant", action="append", default=[], metavar="NAME=COMMAND", help="one more proxy")
    group.add_argument(
        "--syscalls", choices=("auto", "perf", "strace", "off"), default="auto",
        help="what counts system calls: perf where it can, otherwise strace (auto)",
    )
    group.add_argument(
        "--sweep", choices=WORKLOADS, default="select-prepared", metavar="WORKLOAD",
        help="the workload that is run with each number of clients (select-prepared)",
    )
    group.add_argument("--sweep-rounds", type=int, default=1, help="runs of each contestant in the sweep (1)")
    group.add_argument(
        "--fairness", choices=WORKLOADS, default="select-extended", metavar="WORKLOAD",
        help="the workload in which the largest number of clients are compared with each other (select-extended)",
    )
    group.add_argument("--fairness-seconds", type=float, default=30, help="of that run (30)")
    group.add_argument("--copy-mib", type=int, default=128, help="size of the table that is copied (128)")
    group.add_argument("--login-seconds", type=float, default=3, help="of logging in and out (3)")
    group.add_argument(
        "--idle", type=numbers, default="1000,10000", metavar="N", help="numbers of idle clients (1000,10000)"
    )


def add_freshness(group):
    group.add_argument(
        "--freshness-seconds", type=float, default=0.7, help="of one run; four times as long for reopening (0.7)"
    )
    group.add_argument("--freshness-rounds", type=int, default=2, help="runs of each contestant (2)")
    group.add_argument("--rate", type=float, default=1500, help="statements per second when it is about offload (1500)")
    group.add_argument("--measure", default="", help=f"only these, separated by commas: {', '.join(MEASUREMENTS)}")
