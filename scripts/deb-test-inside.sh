#!/usr/bin/env bash
# What scripts/deb-test.sh runs in its container, on a Debian with systemd and PostgreSQL: deb-test-inside.sh PACKAGE
# Files, rights, the user, the unit; that the service runs with all its hardening, is reloaded, upgraded, restarted and woken by
# its socket; and what is left when the package is removed.
set -euo pipefail
package=/packages/$1
config=/etc/tidegate/tidegate.toml

fail() {
    echo "FAILED: $*" >&2
    journalctl --no-pager --output=cat --lines=20 --unit=tidegate >&2 || true
    exit 1
}
# is WHAT EXPECTED COMMAND...: what the command prints
is() {
    local what=$1 expected=$2 found
    shift 2
    found=$("$@" 2>&1) || true
    [ "$found" = "$expected" ] || fail "$what: '$found' instead of '$expected'"
    echo "ok: $what: $expected"
}
# has WHAT TEXT: whether standard input has it
has() {
    local found
    found=$(cat)
    [[ $found == *"$2"* ]] || fail "$1: no '$2' in: $found"
    echo "ok: $1: $2"
}
# wait_for WHAT COMMAND...: until it succeeds
wait_for() {
    local what=$1 tries
    shift
    for tries in $(seq 300); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "$what: not after $tries tries"
}
export PGHOST=127.0.0.1 PGPORT=6432 PGUSER=app PGPASSWORD=secret PGDATABASE=app
ask() { psql --no-psqlrc --quiet --tuples-only --no-align --command "$1"; }
as_postgres() { runuser -u postgres -- env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE psql --quiet "$@"; }
main_process() { systemctl show --property=MainPID --value tidegate; }
another_than() { [ "$(main_process)" != "$1" ] && [ "$(main_process)" != 0 ]; }

# ------------------------------------------------------------------------------------------------ the package
export DEBIAN_FRONTEND=noninteractive
wait_for 'systemd is up' sh -c 'systemctl is-system-running | grep -E "running|degraded"'
apt-get -q update >/dev/null
apt-get -q -y --no-install-recommends install "$package" >/tmp/install.log 2>&1 || {
    cat /tmp/install.log
    fail 'it cannot be installed'
}
tidegate --version | has 'the program runs' 'tidegate '
is 'its configuration is for root and its user' '640 root tidegate' stat -c '%a %U %G' $config
is 'and so is the folder' '750 root tidegate' stat -c '%a %U %G' /etc/tidegate
is 'its user cannot log in' /usr/sbin/nologin sh -c 'getent passwd tidegate | cut -d: -f7'
is 'it waits for its administrator' disabled systemctl is-enabled tidegate
is 'and is not started' inactive systemctl is-active tidegate
# Images of Debian leave manual pages out when they install, so those are looked for in the package.
dpkg-deb --extract "$package" /tmp/extracted
zcat /tmp/extracted/usr/share/man/man1/tidegate-run.1.gz | has 'its manual page' 'Run the proxy until it is told to stop'
bash -c '. /usr/share/bash-completion/completions/tidegate && complete -p tidegate' | has 'its completions' tidegate
for file in zsh/vendor-completions/_tidegate fish/vendor_completions.d/tidegate.fish; do
    [ -s "/usr/share/$file" ] || fail "there is no $file"
done

# ------------------------------------------------------------------------------------------------ the service
if systemctl start tidegate 2>/dev/null; then fail 'it runs without a database'; fi
journalctl --no-pager --output=cat --unit=tidegate | has 'what is missing' 'url'
systemctl stop tidegate
systemctl reset-failed 2>/dev/null
wait_for PostgreSQL as_postgres --command 'select 1'
as_postgres --command "create role app login password 'secret'" --command 'create database app owner app'
printf '[database.app]\nurl = "postgres://app:secret@127.0.0.1:5432/app"\n' >>$config
systemctl enable --now tidegate 2>/dev/null || fail 'it does not start'
is 'it runs' active systemctl is-active tidegate
is 'it serves' 1 ask 'select 1'
is 'as its user' tidegate ps -o user= -p "$(main_process)"
systemctl show --property=StatusText --value tidegate | has 'its status' 'primary 127.0.0.1:5432'

process=$(main_process)
sed -i 's,5432/app",5432/app?connection_limit=7",' $config
systemctl reload tidegate
wait_for 'the reloaded configuration' sh -c 'curl -s 127.0.0.1:6433/status | grep -q "\"limit\":7"'
is 'a reload keeps the process' "$process" main_process

# A client that stays while the process is replaced.
coproc session { psql --no-psqlrc --quiet --tuples-only --no-align; }
echo 'begin; select 2;' >&"${session[1]}"
read -r -u "${session[0]}" answer
systemctl kill --kill-whom=main --signal=USR2 tidegate
wait_for 'an upgrade' another_than "$process"
echo 'select 3; commit;' >&"${session[1]}"
read -r -u "${session[0]}" answer || fail 'the upgrade has cut a client off'
is 'an upgrade keeps clients' 3 echo "$answer"
eval "exec ${session[1]}>&-"
is 'the new process serves' 1 ask 'select 1'
is 'it is the service' active systemctl is-active tidegate

process=$(main_process)
systemctl kill --signal=KILL tidegate
wait_for 'a restart' another_than "$process"
wait_for 'the restarted process' ask 'select 1'
echo 'ok: a process that was killed is started again'

systemctl stop tidegate
is 'a stop ends it well' success systemctl show --property=Result --value tidegate
systemctl start tidegate.socket
is 'it is woken by its socket' 1 ask 'select 1'
systemctl restart tidegate &
is 'a client waits while it is restarted' 1 ask 'select 1'
wait $!
systemctl stop tidegate.socket tidegate

# ------------------------------------------------------------------------------------------------ upgrade and removal
# What an administrator has changed is kept by an upgrade; here, by the same package once more.
echo '# changed by hand' >>$config
systemctl start tidegate
process=$(main_process)
dpkg -i "$package" >/tmp/upgrade.log 2>&1 || {
    cat /tmp/upgrade.log
    fail 'it cannot be installed over itself'
}
is 'what was changed is kept' '# changed by hand' tail -n 1 $config
is 'and its rights' '640 root tidegate' stat -c '%a %U %G' $config
is 'an upgrade leaves the process alone' "$process" main_process

apt-get -q -y remove tidegate >/dev/null 2>&1
[ ! -e /usr/bin/tidegate ] || fail 'the program is still there'
if pgrep -x tidegate >/dev/null; then fail 'it still runs'; fi
is 'a configuration stays when it is removed' '# changed by hand' tail -n 1 $config
apt-get -q -y purge tidegate >/dev/null 2>&1
[ ! -e /etc/tidegate ] || fail 'something is left in /etc after a purge'
echo 'ok: the package is installed, upgraded, removed and purged'
