#!/usr/bin/env bash
# Installs what a task needs on Debian or Ubuntu; prints and does nothing when everything is there.
#   scripts/setup.sh [demo|test|oracle|check|deny|bench|site|deb]...
# As root it installs; otherwise through sudo; where neither works it prints the command to run.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }
# Debian keeps the server's programs outside the PATH.
have_server() { compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null || have "$1"; }
have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib*/libclang*.so*' >/dev/null || compgen -G '/usr/lib/*/libclang*.so*' >/dev/null
}
have_venv() { python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

packages=()
# Programs of Rust's that Debian does not have in a version that would do: name@version.
tools=()
want() { packages+=("$@"); }
# Programs that the benchmark and the tests start by themselves; Debian would start each as a service, on ports that others may want.
daemons=()
# want_daemon PROGRAM PACKAGE [SERVICE]
want_daemon() {
    have "$1" || [ -x "/usr/sbin/$1" ] || { want "$2" && daemons+=("${3:-$2}"); }
}

building() {
    have cc || want gcc
    # the linker needs libc's development files, which gcc only recommends
    [ -e /usr/include/stdlib.h ] || want libc6-dev
    have make || want make
    # PostgreSQL's grammar (the pg_query crate) is bound through bindgen, which loads libclang
    { have_libclang && have clang; } || want libclang-dev clang
}
postgres() {
    { have_server initdb && have_server pg_basebackup && have_server pgbench; } ||
        want postgresql postgresql-contrib
}

[ $# -gt 0 ] || set -- test
for task in "$@"; do
    building
    case $task in
    check) ;;
    site) tools+=(mdbook@0.5.4) ;;
    deb)
        tools+=(cargo-deb@3.8.0)
        # says which libraries the program needs
        have dpkg-shlibdeps || want dpkg-dev
        ;;
    deny) tools+=(cargo-deny@0.20.2) ;;
    demo) postgres ;;
    test)
        postgres
        have_venv || want python3 python3-venv
        have node || want nodejs
        have npm || want npm
        # the example of Active Record
        ruby -e 'require "active_record"; require "pg"' 2>/dev/null || want ruby-activerecord ruby-pg
        # commands of the documentation
        have curl || want curl
        have openssl || want openssl
        have shellcheck || want shellcheck
        # counts instructions per transaction; the limits are those of this architecture
        [ "$(uname -m)" != x86_64 ] || have valgrind || want valgrind
        # a name that leads elsewhere: the system's resolver, told by a file
        compgen -G '/usr/lib/*/libnss_wrapper.so' >/dev/null || want libnss-wrapper
        # a program for PgBouncer's console, at ours; 0.7 MB
        want_daemon prometheus-pgbouncer-exporter prometheus-pgbouncer-exporter
        # the alert rules and the panels of Grafana's dashboard, asked for as they are
        want_daemon prometheus prometheus
        # the dashboard, in a browser without a screen
        [ -n "${TIDEGATE_TEST_WITHOUT_BROWSER:-}" ] || have chromium || have chromium-browser || have google-chrome ||
            want chromium fonts-dejavu-core
        # a cluster that Patroni looks after
        want_daemon patroni patroni
        want_daemon etcd etcd-server etcd
        ;;
    oracle)
        # PostgreSQL's source and its build
        have perl || want perl
        have bzip2 || want bzip2
        ;;
    bench)
        postgres
        have python3 || want python3
        want_daemon haproxy haproxy
        want_daemon pgbouncer pgbouncer
        want_daemon pgpool pgpool2
        ;;
    *) echo "setup.sh: unknown task '$task' (demo, test, oracle, check, deny, bench, site, deb)" >&2; exit 2 ;;
    esac
done

if ! have cargo; then
    echo "Rust is missing: install it from https://rustup.rs and run this again." >&2
    exit 1
fi
# Last, because building them takes what Debian's packages bring.
install_tools() {
    local missing=() tool
    for tool in "${tools[@]}"; do
        "${tool%@*}" --version >/dev/null 2>&1 || missing+=("$tool")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    # They run for a second and are built once: without the optimisation that takes longest.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --locked "${missing[@]}"
}

if [ ${#packages[@]} -eq 0 ]; then
    install_tools
    exit
fi
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)

if ! have apt-get; then
    echo "Missing here; by their Debian names: ${packages[*]}. Install them and run this again." >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! have sudo; then
        echo "Missing: ${packages[*]}. Run this as root, then try again:" >&2
        echo "    apt-get update && apt-get install -y --no-install-recommends ${packages[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "Installing ${packages[*]}" >&2
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -q -o Dpkg::Use-Pty=0 "$@" >&2; }
apt update
apt install -y --no-install-recommends "${packages[@]}"

# What was installed before is not in the list, and stays as it is.
for daemon in "${daemons[@]}"; do
    if [ -d /run/systemd/system ]; then
        "${as_root[@]}" systemctl --quiet disable --now "$daemon" >&2
    else
        "${as_root[@]}" update-rc.d "$daemon" disable >&2
        "${as_root[@]}" "/etc/init.d/$daemon" stop >&2 || true # it fails where nothing was started
    fi
done

install_tools
