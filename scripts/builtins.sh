#!/usr/bin/env bash
# Prints what a running PostgreSQL has and the curated lists in src/sql/builtins do not know: functions of pg_catalog with their
# volatility, and system views. For a new version: decide on each name and add it by hand; the heads of the lists say how.
#   scripts/builtins.sh [postgresql://user@host:port/database]    (without an argument: psql's defaults)
set -euo pipefail
cd "$(dirname "$0")/../src/sql/builtins"

names() { grep -hv '^#' "$@" | cut -d ' ' -f 1 | LC_ALL=C sort; }
# Lines "name rest" whose name no list has.
unlisted() { LC_ALL=C sort | LC_ALL=C join -v 1 - <(names "$@"); }
ask() { psql -XAtq -F ' ' ${url:+"$url"} -c "$1"; }
url=${1:-}

echo "# functions in neither harmless.txt nor primary.txt: name, volatility, arguments"
ask "select proname, case provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
            '(' || pg_get_function_arguments(oid) || ')'
     from pg_proc where pronamespace = 'pg_catalog'::regnamespace and oid < 16384" | unlisted harmless.txt primary.txt

echo "# listed as harmless without the remark 'volatile', and yet volatile"
ask "select distinct proname from pg_proc
     where pronamespace = 'pg_catalog'::regnamespace and oid < 16384 and provolatile = 'v'" |
    LC_ALL=C sort | LC_ALL=C join - <(grep -v -e '^#' -e ' volatile$' harmless.txt | LC_ALL=C sort)

echo "# views in neither views.txt nor plain_views.txt (families of names: is_node_view in builtins.rs)"
ask "select relname from pg_class
     where relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) and oid < 16384
       and relkind not in ('r', 'i', 't') and relname !~ '^pg_(stat_|statio_|replication_|available_extension|shmem_)'" |
    unlisted views.txt plain_views.txt
