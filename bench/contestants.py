"""Who is compared: the server itself, a TCP relay, poolers, Tidegate, and whatever the command line adds."""

import contextlib
import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess

from cluster import DATABASE, PASSWORD, USER, answers
from processes import Process, free_port, program, unprivileged

ROOT = pathlib.Path(__file__).resolve().parent.parent
# its own limit of clients must not be what is measured
TIDEGATE = "target/release/tidegate run --url '{url}&tidegate_max_clients=30000' --listen {listen} --admin off"
PROFILED = "target/pgo/release/tidegate"  # of make pgo
POOL = 20
# Those that take a server connection for every client; several of them are connected at the same time.
MOST_UNPOOLED = 300


@dataclasses.dataclass
class Running:
    """One contestant that listens on `port`; `process` is None for the server itself."""

    port: int
    process: Process | None = None
    remark: str = ""


class Contestant:
    name = ""
    pools = False  # whether its clients may be more than its server connections

    def refuses(self, prepared, clients):
        """Why it cannot serve so many clients; empty when it can."""
        if clients <= MOST_UNPOOLED or self.shares(prepared):
            return ""
        return f"would need a server connection for each of {clients} clients"

    def shares(self, _prepared):
        return self.pools

    def running(self, cluster, prepared, clients):
        """A context manager that starts it, gives a `Running` and ends it."""
        raise NotImplementedError


class Direct(Contestant):
    name = "direct"

    @contextlib.contextmanager
    def running(self, cluster, _prepared, _clients):
        yield Running(cluster.ports[0])


class Command(Contestant):
    """A proxy started by a command with {url}, {listen}, {port}, {primary} (host:port) filled in."""

    pools = True

    def __init__(self, name, command):
        self.name, self.command = name, command

    @contextlib.contextmanager
    def running(self, cluster, _prepared, _clients):
        port = free_port()
        places = {
            "url": cluster.url(POOL), "listen": f"127.0.0.1:{port}", "port": port,
            "primary": f"127.0.0.1:{cluster.ports[0]}", "primary_port": cluster.ports[0],
        }
        command = [part.format(**places) for part in shlex.split(self.command)]
        if (ROOT / command[0]).exists():
            command[0] = str(ROOT / command[0])
        with Process(self.name, command, cluster.folder / f"{self.name}-{port}.log") as process:
            process.wait_until(lambda: answers(cluster.bin, port))
            yield Running(port, process)


class Installed(Contestant):
    """A program with a folder of its own for its configuration."""

    stop = signal.SIGTERM

    def __init__(self, path):
        self.path = path

    def files(self, cluster, folder, port, prepared, clients):
        """Names and contents of its configuration."""
        raise NotImplementedError

    def command(self, folder):
        raise NotImplementedError

    def remark(self, _prepared):
        return ""

    @contextlib.contextmanager
    def running(self, cluster, prepared, clients):
        port = free_port()
        folder = cluster.folder / f"{self.name}-{port}"
        folder.mkdir()
        for name, text in self.files(cluster, folder, port, prepared, clients).items():
            (folder / name).write_text(text)
        if os.geteuid() == 0:
            for path in [folder, *folder.iterdir()]:
                shutil.chown(path, "postgres", "postgres")
        log = cluster.folder / f"{self.name}-{port}.log"
        with Process(self.name, unprivileged(self.command(folder)), log, stop=self.stop, cwd=folder) as process:
            process.wait_until(lambda: answers(cluster.bin, port))
            yield Running(port, process, self.remark(prepared))


class HAProxy(Installed):
    """A plain TCP relay to the primary with one thread: what any hop costs at least."""

    name = "haproxy"

    def files(self, cluster, folder, port, prepared, clients):
        lines = [
            "global", "nbthread 1", "defaults", "mode tcp", "timeout connect 5s", "timeout client 1h", "timeout server 1h",
            "listen relay", f"bind 127.0.0.1:{port}", f"server primary 127.0.0.1:{cluster.ports[0]}",
        ]
        return {"haproxy.cfg": lines_of(lines)}

    def command(self, folder):
        return [self.path, "-db", "-f", str(folder / "haproxy.cfg")]


class PgBouncer(Installed):
    """Pools connections to the primary. Before 1.21 it knows no prepared statements in transaction pooling, so that
    prepared workloads then run in session pooling, with a server connection for every client."""

    name = "pgbouncer"

    def __init__(self, path):
        super().__init__(path)
        version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"(\d+)\.(\d+)", version)
        self.virtual = tuple(int(part) for part in found.groups()) >= (1, 21)

    def shares(self, prepared):
        return self.virtual or not prepared

    def refuses(self, prepared, clients):
        why = super().refuses(prepared, clients)
        return why and f"{why}: this version knows prepared statements in session pooling only"

    def remark(self, prepared):
        return "" if self.shares(prepared) else "session pooling"

    def files(self, cluster, folder, port, prepared, clients):
        shared = self.shares(prepared)
        settings = [
            "[databases]", f"{DATABASE} = host=127.0.0.1 port={cluster.ports[0]} dbname={DATABASE}",
            "[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {port}", "unix_socket_dir =",
            "auth_type = scram-sha-256", f"auth_file = {folder}/users",
            f"pool_mode = {'transaction' if shared else 'session'}",
            f"default_pool_size = {POOL if shared else max(POOL, clients)}",
            "max_client_conn = 20000", "log_connections = 0", "log_disconnections = 0",
        ]
        if self.virtual:
            settings.append("max_prepared_statements = 200")
        # the verifier as the server keeps it: from a password in plain text it would derive one at each login
        verifier = cluster.query(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{USER}'")
        return {"pgbouncer.ini": lines_of(settings), "users": f'"{USER}" "{verifier}"\n'}

    def command(self, folder):
        return [self.path, "--quiet", str(folder / "pgbouncer.ini")]


class Pgpool(Installed):
    """Reads on all nodes, with a process and a connection to each node for every client."""

    name = "pgpool"
    stop = signal.SIGINT  # SIGTERM would wait for clients

    def files(self, cluster, folder, port, prepared, clients):
        settings = {
            "backend_clustering_mode": "streaming_replication", "load_balance_mode": "on",
            "listen_addresses": "127.0.0.1", "port": port, "pcp_port": free_port(),
            "socket_dir": folder, "pcp_socket_dir": folder, "logdir": folder, "pid_file_name": folder / "pgpool.pid",
            # one that a client has just left is not ready for the next at once
            "num_init_children": clients + 8, "max_pool": 1,
            "enable_pool_hba": "on", "pool_passwd": folder / "pool_passwd",
            "sr_check_user": USER, "sr_check_password": PASSWORD, "sr_check_database": "postgres",
            "health_check_period": 0, "log_min_messages": "warning",
        }
        for index, node in enumerate(cluster.ports):
            settings |= {
                f"backend_hostname{index}": "127.0.0.1", f"backend_port{index}": node, f"backend_weight{index}": 1,
                f"backend_data_directory{index}": f"{cluster.folder}/node{index}",
                f"backend_flag{index}": "DISALLOW_TO_FAILOVER",
            }
        return {
            "pgpool.conf": lines_of(f"{name} = '{value}'" for name, value in settings.items()),
            "pool_hba.conf": "host all all 127.0.0.1/32 scram-sha-256\n",
            "pool_passwd": f"{USER}:TEXT{PASSWORD}\n",
            "pcp.conf": "",
        }

    def command(self, folder):
        files = ["-f", folder / "pgpool.conf", "-a", folder / "pool_hba.conf", "-F", folder / "pcp.conf"]
        return [self.path, "-n", *map(str, files)]


def lines_of(lines):
    return "\n".join(lines) + "\n"


def contestants(options):
    """Those that can run here, in the order they are shown; says which cannot."""
    found = [Direct()]
    for kind, name in ((HAProxy, "haproxy"), (PgBouncer, "pgbouncer"), (Pgpool, "pgpool")):
        if path := program(name):
            found.append(kind(path))
        else:
            print(f"{name}: not installed, left out")
    if (ROOT / TIDEGATE.split()[0]).exists():
        found.append(Command("tidegate", TIDEGATE))
    else:
        print("tidegate: target/release/tidegate is not built, left out")
    if (ROOT / PROFILED).exists():
        found.append(Command("tidegate-pgo", TIDEGATE.replace(TIDEGATE.split()[0], PROFILED)))
    for given in options.contestant:
        name, equals, command = given.partition("=")
        if not equals:
            raise SystemExit(f"--contestant {given}: NAME=COMMAND is wanted")
        found.append(Command(name, command))
    return found
