#!/usr/bin/env bash
# Starts a streaming replica of `primary`: copies it when the data folder is empty, then hands over to the image's
# own entrypoint.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$(dirname "$PGDATA")"
    chmod 700 "$PGDATA"
    # -R makes it a replica that finds its primary again by this connection string
    PGPASSWORD=$REPLICATION_PASSWORD gosu postgres pg_basebackup \
        --dbname="host=primary user=replicator application_name=$HOSTNAME" \
        --pgdata="$PGDATA" --write-recovery-conf --wal-method=stream --checkpoint=fast
fi
exec docker-entrypoint.sh postgres
