# Sourced by the scripts that install drivers for the tests: what they have in common. Everything lies in a cache folder
# outside the tree, with the pins in its name, so that another pin makes another folder and never a mix. Nothing is done where
# it is there already.

cache=${TIDEGATE_CACHE:-/var/tmp/tidegate-cache}

fail() {
    echo "$0: $*" >&2
    exit 1
}

# Fails, saying what to install, unless node is there; then waits until no other test installs anything.
begin_installing() {
    command -v node >/dev/null || fail "node is missing: apt-get install nodejs npm"
    command -v npm >/dev/null || fail "npm is missing: apt-get install npm"
    mkdir -p "$cache"
    if command -v flock >/dev/null; then
        exec 9>"$cache/setup.lock"
        flock 9
    fi
}

pins() { cksum <"$1" | cut -d ' ' -f 1; }

# python_with REQUIREMENTS: prints the path of a Python that has them.
python_with() {
    command -v python3 >/dev/null || fail "python3 is missing: apt-get install python3 python3-venv"
    python3 -c 'import venv, ensurepip' 2>/dev/null || fail "Python's venv module is missing: apt-get install python3-venv"
    venv=$cache/python-$(pins "$1")
    if [ ! -e "$venv/complete" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv" >&2 || fail "python3 -m venv failed: apt-get install python3-venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1" >&2 || fail "pip could not install $1"
        touch "$venv/complete"
    fi
    echo "$venv/bin/python"
}

# node_modules_of FOLDER [OPTION...]: prints a folder that has the modules of its package-lock.json, as npm installs them with
# these options.
node_modules_of() {
    folder=$1
    shift
    modules=$cache/node-$(pins "$folder/package-lock.json")
    if [ ! -e "$modules/complete" ]; then
        rm -rf "$modules"
        mkdir -p "$modules"
        cp "$folder/package.json" "$folder/package-lock.json" "$modules/"
        (cd "$modules" && npm ci "$@" --silent --no-audit --no-fund >&2) || fail "npm could not install the modules of $folder"
        touch "$modules/complete"
    fi
    echo "$modules"
}

# beside_modules MODULES SCRIPT...: copies scripts there, because node looks for modules next to the script that asks for
# them. Another test may be running the old one.
beside_modules() {
    to=$1
    shift
    for script in "$@"; do
        cp "$script" "$to/.new" && mv "$to/.new" "$to/$(basename "$script")"
    done
}
