"""A throwaway PostgreSQL cluster on loopback: a primary and two streaming replicas, one superuser bench/bench."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

from processes import Process, free_port, unprivileged

USER = PASSWORD = DATABASE = "bench"
ENVIRONMENT = {**os.environ, "PGPASSWORD": PASSWORD, "PGSSLMODE": "disable", "LC_ALL": "C.UTF-8"}

CONFIGURATION = """
listen_addresses = '127.0.0.1'
max_connections = 1000
shared_buffers = 256MB
# the disk and the housekeeping are not what is measured
fsync = off
full_page_writes = off
autovacuum = off
checkpoint_timeout = 1h
max_wal_size = 8GB
wal_keep_size = 1GB
"""


def programs():
    """The folder with PostgreSQL's programs: $TIDEGATE_TEST_PG or the newest that Debian installed."""
    if given := os.environ.get("TIDEGATE_TEST_PG"):
        return pathlib.Path(given)
    version = lambda path: float(path.parent.name)
    installed = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=version)
    installed = [folder for folder in installed if (folder / "initdb").exists()]
    if not installed:
        raise SystemExit("no PostgreSQL server under /usr/lib/postgresql: run scripts/setup.sh bench")
    return installed[-1]


class Cluster:
    """Ports of the primary and its replicas, in that order; a context manager that ends and removes them."""

    def __init__(self, folder):
        self.folder, self.bin = folder, programs()
        self.ports = [free_port() for _ in range(3)]
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with self.stack:  # ends what runs already when a later step fails
            self.initialise()
            for index in range(3):
                if index > 0:
                    self.copy_primary(index)
                self.serve(index)
            self.query("CREATE DATABASE " + DATABASE, database="postgres")
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def url(self, limit):
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"postgres://{USER}:{PASSWORD}@{hosts}/{DATABASE}?connection_limit={limit}"

    def run(self, name, *arguments):
        command = unprivileged([str(self.bin / name), *arguments])
        done = subprocess.run(command, env=ENVIRONMENT, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed:\n{done.stdout}{done.stderr}")

    def initialise(self):
        (self.folder / "password").write_text(PASSWORD + "\n")
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            shutil.chown(self.folder / "password", "postgres", "postgres")
        data = self.folder / "node0"
        self.run(
            "initdb", f"--pgdata={data}", f"--username={USER}", f"--pwfile={self.folder}/password",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        )
        with (data / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION + f"unix_socket_directories = '{self.folder}'\n")

    def copy_primary(self, index):
        self.run(
            "pg_basebackup", f"--pgdata={self.folder}/node{index}", "--write-recovery-conf", "--checkpoint=fast",
            "--no-sync", f"--dbname=host=127.0.0.1 port={self.ports[0]} user={USER} application_name=node{index}",
        )

    def serve(self, index):
        # app.node tells a reader who has answered
        command = [
            str(self.bin / "postgres"), "-D", f"{self.folder}/node{index}", "-p", str(self.ports[index]),
            "-c", f"app.node=node{index}",
        ]
        log = self.folder / f"node{index}.log"
        node = Process(f"node{index}", unprivileged(command), log, stop=signal.SIGINT, cwd=self.folder)
        self.stack.enter_context(node)
        node.wait_until(lambda: answers(self.bin, self.ports[index], "postgres"))

    def query(self, sql, port=None, database=DATABASE):
        command = psql(self.bin, port or self.ports[0], database, sql)
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{sql[:200]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def wait_for_replicas(self):
        position = self.query("SELECT pg_current_wal_flush_lsn()")
        reached = f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn - 64"
        for port in self.ports[1:]:
            while self.query(reached, port) != "t":
                pass


def psql(folder, port, database, sql):
    return [
        str(folder / "psql"), "-XAtq", "-h", "127.0.0.1", "-p", str(port), "-U", USER, "-d", database, "-c", sql,
    ]


def answers(folder, port, database=DATABASE):
    """Whether a server or proxy on `port` answers a query."""
    command = psql(folder, port, database, "SELECT 1")
    try:
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=10)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
