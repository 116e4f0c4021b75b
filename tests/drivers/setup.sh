#!/bin/sh
# Makes what the driver checks run on, in a cache folder outside the tree: a Python environment and node modules, both
# with pinned versions. Does nothing when they are there already. The last two lines printed are:
#
#     python=<path of the Python that has psycopg and asyncpg>
#     node=<path of node>
#
# and next to the modules, in the folder that the line modules=<path> before them names, lie copies of the scripts.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${TIDEGATE_CACHE:-/var/tmp/tidegate-cache}

fail() {
    echo "setup.sh: $*" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is missing: apt-get install python3 python3-venv"
python3 -c 'import venv, ensurepip' 2>/dev/null || fail "Python's venv module is missing: apt-get install python3-venv"
command -v node >/dev/null || fail "node is missing: apt-get install nodejs npm"
command -v npm >/dev/null || fail "npm is missing: apt-get install npm"

mkdir -p "$cache"

# One at a time: test binaries may run this together.
lock=$cache/setup.lock
if command -v flock >/dev/null; then
    exec 9>"$lock"
    flock 9
fi

# The pins are part of the name, so that another pin makes another folder and never a mix.
pins() { cat "$@" | cksum | cut -d ' ' -f 1; }

venv=$cache/python-$(pins "$here/requirements.txt")
if [ ! -e "$venv/complete" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 || fail "python3 -m venv failed: apt-get install python3-venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2 ||
        fail "pip could not install $here/requirements.txt"
    touch "$venv/complete"
fi

modules=$cache/node-$(pins "$here/node-postgres/package-lock.json")
if [ ! -e "$modules/complete" ]; then
    rm -rf "$modules"
    mkdir -p "$modules"
    cp "$here/node-postgres/package.json" "$here/node-postgres/package-lock.json" "$modules/"
    (cd "$modules" && npm ci --silent --no-audit --no-fund >&2) || fail "npm could not install the modules"
    touch "$modules/complete"
fi
# node looks for modules next to the script that asks for them. Another test may be running the old one.
for script in "$here/node-postgres/check.mjs" "$here/node-postgres/console.mjs" "$here/../soak_drivers/sessions.mjs"; do
    cp "$script" "$modules/.new" && mv "$modules/.new" "$modules/$(basename "$script")"
done

echo "modules=$modules"
echo "python=$venv/bin/python"
echo "node=$(command -v node)"
