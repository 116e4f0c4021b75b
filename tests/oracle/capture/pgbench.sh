# pgbench as it comes, in each of its protocols.
set -eu
pgbench --initialize --init-steps=dtGvpf --scale=1 --quiet
for protocol in simple extended prepared; do
    for script in tpcb-like simple-update select-only; do
        pgbench --protocol=$protocol --builtin=$script --transactions=5 --no-vacuum
    done
done
pgbench --transactions=2
