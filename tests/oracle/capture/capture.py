"""Runs apps against a PostgreSQL of their own and writes down what they said, for `make oracle CORPUS=orm`.

    capture.py BIN FOLDER APP...      BIN: PostgreSQL's programs; FOLDER: where APP.sql goes

The server's log is the record: it has every statement with its parameters, whichever protocol the driver used. They are
written as literals, so that the statement can be sent again as a simple query.
"""

import contextlib
import csv
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent

SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
max_prepared_transactions = 2
logging_collector = on
log_destination = 'csvlog'
log_filename = 'statements'
log_rotation_age = 0
log_rotation_size = 0
log_statement = 'all'
log_parameter_max_length = -1
"""

# Statements about the capture itself, and what no second server can repeat.
LEFT_OUT = re.compile(r"\s*(create|drop) database|\s*checkpoint\b", re.I)
# What a placeholder cannot be in: strings, quoted names, comments, dollar quotes.
TOKEN = re.compile(
    r"""(?P<skip>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/
        | \$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$) | \$(?P<number>\d+)""",
    re.X | re.S,
)
PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')(?:, |$)", re.S)


def main():
    binaries, folder, *apps = sys.argv[1:]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for app in apps:
        with server(pathlib.Path(binaries)) as (port, log):
            run(app, binaries, port)
            time.sleep(1)  # the log's writer is a process of its own
            write(folder / f"{app}.sql", sessions(log))


@contextlib.contextmanager
def server(binaries):
    """A server that writes down what it is told: its port, and the file it writes to."""
    # PostgreSQL refuses to run as root.
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    place = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-capture-"))
    data = place / "data"
    common = {"cwd": place, "stdout": subprocess.DEVNULL}
    if account:
        os.chown(place, account.pw_uid, account.pw_gid)
        common |= {"user": account.pw_uid, "group": account.pw_gid}
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True, **common,
    )
    with open(data / "postgresql.conf", "a", encoding="utf-8") as conf:
        conf.write(f"{SETTINGS}unix_socket_directories = '{place}'\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([binaries / "postgres", "-D", data, "-p", str(port)], stderr=subprocess.DEVNULL, **common)
    try:
        ready = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, check=False).returncode != 0:
            time.sleep(0.1)
        subprocess.run([binaries / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "app"], check=True)
        yield port, data / "log" / "statements.csv"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(place)


def run(app, binaries, port):
    """Runs an app by the name of its program: Python, node, or a shell script."""
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/app",
        "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGDATABASE": "app",
        "PATH": f"{binaries}:{os.environ['PATH']}",
    }
    (program,) = HERE.glob(f"{app}.*")
    runner = {".py": sys.executable, ".mjs": "node", ".sh": "bash"}[program.suffix]
    folder = HERE
    if runner == "node":
        # Node looks for modules next to the script that asks for them.
        folder = pathlib.Path(os.environ[f"CAPTURE_{app.upper()}"])
        program = folder / program.name
    subprocess.run([runner, program], cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)


def sessions(log):
    """The statements that succeeded: pairs of the session they came in and their text."""
    said = []
    with open(log, encoding="utf-8", newline="") as lines:
        for line in csv.reader(lines):
            database, session, severity, message, detail, query = line[2], line[5], line[11], line[13], line[14], line[19]
            if database != "app":
                continue
            if severity in ("ERROR", "FATAL"):
                drop_failed(said, session, query)
            text = statement(message, detail) if severity == "LOG" else None
            if text and not LEFT_OUT.match(text):
                said.append((session, text))
    return said


def drop_failed(said, session, query):
    for index in range(len(said) - 1, -1, -1):
        if said[index][0] == session:
            if query:
                del said[index]
            return


def statement(message, detail):
    kind, colon, text = message.partition(": ")
    if not colon or not (kind == "statement" or kind.startswith("execute ")):
        return None
    if kind.startswith("execute fetch from"):
        return None  # the rest of a portal
    values = dict(PARAMETER.findall(detail.removeprefix("parameters: ")))
    return TOKEN.sub(lambda token: token["skip"] or values[token["number"]], text)


def write(path, said):
    """A file for psql. Another session of the app is another login here."""
    last = None
    with open(path, "w", encoding="utf-8") as out:
        for session, text in said:
            if last not in (None, session):
                out.write("\\c\n")
            last = session
            # One line of SQL that psql sends as it is.
            text = text.strip().rstrip(";").rstrip()
            ending = "\n;\n" if "--" in text.rsplit("\n", 1)[-1] else ";\n"
            out.write(text + ending)
    print(f"{path}: {len(said)} statements", file=sys.stderr)


if __name__ == "__main__":
    main()
