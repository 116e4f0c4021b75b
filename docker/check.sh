#!/usr/bin/env bash
# Through Tidegate: every write must be seen by the next read, on another connection; and by PostgreSQL's own
# counters the replicas must have answered reads. Exits 0 or 1.
set -euo pipefail

rounds=${ROUNDS:-30}
reads=${READS:-200}

on() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --host "$1" --port "$2" "${@:3}"; }
gate() { on tidegate 6432 "$@"; }
fail() { echo "check: FAILED: $*"; exit 1; }

for attempt in $(seq 60); do
    gate --command 'SELECT 1' >/dev/null 2>&1 && break
    [ "$attempt" -lt 60 ] || { gate --command 'SELECT 1' || true; fail 'Tidegate does not answer'; }
    sleep 1
done
echo "check: Tidegate answers after $SECONDS s"

gate --command 'DROP TABLE IF EXISTS compose_check' \
    --command 'CREATE TABLE compose_check (id int PRIMARY KEY, height int NOT NULL)' \
    --command 'INSERT INTO compose_check VALUES (1, 0)'

for round in $(seq "$rounds"); do
    gate --command "UPDATE compose_check SET height = $round WHERE id = 1"
    seen=$(gate --command 'SELECT height FROM compose_check WHERE id = 1')
    [ "$seen" = "$round" ] || fail "round $round: the read after the write saw $seen"
done
echo "check: $rounds writes, each seen by the next connection's read"

# A read a moment later finds the replicas caught up.
sleep 1
for _ in $(seq "$reads"); do echo 'SELECT height FROM compose_check WHERE id = 1;'; done | gate --file - >/dev/null
echo "check: $reads more reads; the last decision: $(gate --command 'SELECT height FROM compose_check' \
    --command 'SHOW tidegate.last_route' 2>&1 | tail -n 1)"

# Which server scanned the table? A standby counts its own scans; an idle connection reports them within ten seconds.
scans="SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_user_tables WHERE relname = 'compose_check'"
for _ in $(seq 20); do
    first=$(on replica1 5432 --command "$scans")
    second=$(on replica2 5432 --command "$scans")
    [ $((first + second)) -lt "$reads" ] || break
    sleep 1
done
echo "check: scans of the table: primary $(on primary 5432 --command "$scans"), replica1 $first, replica2 $second"

# What the admin address answers to a path, in HTTP 1.0.
admin() {
    exec 3<>/dev/tcp/tidegate/6433 || return 1
    printf 'GET %s HTTP/1.0\r\nHost: tidegate\r\n\r\n' "$1" >&3
    timeout 5 cat <&3
}
{ admin /metrics | grep -E '^tidegate_.*(replica|primary)' | head -n 20 | sed 's/^/check: /'; } || true
admin / | grep '<title>.*Tidegate' >/dev/null || fail 'no dashboard at the admin address'
replicas=$(admin /status | grep -o '"role":"replica"' | wc -l)
[ "$replicas" = 2 ] || fail "the admin address's /status names $replicas replicas"
echo 'check: the dashboard is there, its /status names both replicas'

[ $((first + second)) -gt 0 ] || fail 'no read was served by a replica'
echo 'check: passed'
