"""Who is compared: the server itself, Tidegate, PgBouncer, and whatever the command line adds."""

import contextlib
import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess

from cluster import DATABASE, PASSWORD, USER, answers
from processes import Process, free_port, program, unprivileged

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIDEGATE = "target/release/tidegate run --url {url} --listen {listen} --admin off"
POOL = 20


@dataclasses.dataclass
class Running:
    """One contestant that listens on `port`; `process` is None for the server itself."""

    port: int
    process: Process | None = None
    remark: str = ""


class Direct:
    name = "direct"

    @contextlib.contextmanager
    def running(self, cluster, _prepared, _clients):
        yield Running(cluster.ports[0])


class Command:
    """A proxy started by a command with {url}, {listen}, {port}, {primary} (host:port) filled in."""

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


class PgBouncer:
    """Pools connections to the primary. Before 1.21 it knows no prepared statements in transaction pooling, so that
    prepared workloads then run in session pooling, with a server connection for every client."""

    name = "pgbouncer"

    def __init__(self, path):
        self.path = path
        version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"(\d+)\.(\d+)", version)
        self.version = tuple(int(part) for part in found.groups())

    @contextlib.contextmanager
    def running(self, cluster, prepared, clients):
        port = free_port()
        virtual = self.version >= (1, 21)
        mode = "transaction" if virtual or not prepared else "session"
        folder = cluster.folder / f"pgbouncer-{port}"
        folder.mkdir()
        (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
        settings = [
            "[databases]", f"{DATABASE} = host=127.0.0.1 port={cluster.ports[0]} dbname={DATABASE}",
            "[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {port}", "unix_socket_dir =",
            "auth_type = scram-sha-256", f"auth_file = {folder}/users", f"pool_mode = {mode}",
            f"default_pool_size = {POOL if mode == 'transaction' else max(POOL, clients)}",
            "max_client_conn = 20000", "log_connections = 0", "log_disconnections = 0",
        ]
        if virtual:
            settings.append("max_prepared_statements = 200")
        (folder / "pgbouncer.ini").write_text("\n".join(settings) + "\n")
        if os.geteuid() == 0:
            for path in [folder, *folder.iterdir()]:
                shutil.chown(path, "postgres", "postgres")
        command = unprivileged([self.path, "--quiet", str(folder / "pgbouncer.ini")])
        with Process(self.name, command, cluster.folder / f"pgbouncer-{port}.log") as process:
            process.wait_until(lambda: answers(cluster.bin, port))
            yield Running(port, process, "session pooling" if mode == "session" else "")


def contestants(options):
    """Those that can run here, in the order they are shown; says which cannot."""
    found = [Direct()]
    if (ROOT / TIDEGATE.split()[0]).exists():
        found.append(Command("tidegate", TIDEGATE))
    else:
        print("tidegate: target/release/tidegate is not built, left out")
    if path := program("pgbouncer"):
        found.append(PgBouncer(path))
    else:
        print("pgbouncer: not installed, left out")
    if options.relay:
        found.append(Command("relay", options.relay))
    for given in options.contestant:
        name, equals, command = given.partition("=")
        if not equals:
            raise SystemExit(f"--contestant {given}: NAME=COMMAND is wanted")
        found.append(Command(name, command))
    return found
