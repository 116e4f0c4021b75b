# Every target works from a fresh clone on Debian or Ubuntu with git and Rust: what else it needs is installed first.

CARGO ?= cargo
# make test PG=18: the tests against that PostgreSQL instead of the installed one
PG ?=
# Passed on: make test ARGS='--test cluster_promises', make demo ARGS=--help, make bench ARGS='--seconds 2'
ARGS ?=
# make fuzz SECONDS_EACH=600: how long each fuzz target runs
SECONDS_EACH ?= 60
# make fuzz FUZZ_JOBS=2: how many of them at the same time
FUZZ_JOBS ?= 1
# make soak SOAK=600: seconds at each level; make soak-drivers SOAK=1800: seconds
SOAK ?= 60
# make soak-drivers SEED=7: which random sessions
SEED ?=
# make storm STORM=300: seconds of storm, and as many without
STORM ?= 300
# make chaos ARGS='--only primary-killed --seconds 10 --seed 7', ARGS=--list, ARGS=--write (into docs/availability.md)
# make oracle CORPUS=orm: only these of regress, contrib, traps, orm
CORPUS ?=
# make conformance WAY=transaction: only this of direct, session, transaction
WAY ?=

# The load generator of bench-freshness is built apart from the proxy that it measures.
LOAD = --locked --manifest-path bench/load/Cargo.toml --target-dir target/bench-load

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak soak-drivers storm chaos oracle conformance check fmt pgo instructions bench bench-freshness bench-classify fuzz compose-test reproducible site deb deb-test archive

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what demo, test, check and bench need (each also does it itself)
	@scripts/setup.sh demo test check deny bench

demo: ## a primary, two replicas and Tidegate between them and an app, on this machine
	@scripts/setup.sh demo
	$(CARGO) run --locked --quiet -- demo $(ARGS)

# Half of the time tests wait for servers.
test: export RUST_TEST_THREADS ?= $(shell echo $$(($$(nproc) * 2)))
test: ## all tests; PG=18 runs them against PostgreSQL 18
	@scripts/setup.sh test
ifeq ($(PG),)
	$(CARGO) test --locked $(ARGS)
else
	@bin=$$(tests/support/fetch-pg$(PG).sh | tail -n 1) && "$$bin/postgres" --version && \
		TIDEGATE_TEST_PG="$$bin" $(CARGO) test --locked $(ARGS)
endif

instructions: ## instructions per transaction beside their limits, by valgrind; ARGS=--update makes the counts the limits
	@scripts/setup.sh test
	TIDEGATE_INSTRUCTIONS=$(ARGS) $(CARGO) test --locked --test instructions

soak: ## tidegate verify for SOAK seconds at each level, with replicas paused, delayed, killed: no read may be stale
	@scripts/setup.sh demo
	TIDEGATE_SOAK_SECONDS=$(SOAK) $(CARGO) test --locked --test soak -- --ignored --nocapture

soak-drivers: ## psycopg, asyncpg, node-postgres, tokio-postgres and sqlx at random for SOAK seconds; SEED=7 for other sessions
	@scripts/setup.sh test
	TIDEGATE_SOAK_SECONDS=$(SOAK) TIDEGATE_SOAK_SEED=$(SEED) $(CARGO) test --locked --test soak_drivers -- --nocapture

storm: ## 10,000 hostile connections a minute for STORM seconds while pgbench works: no error, no growth, 90 % of the throughput
	@scripts/setup.sh test
	$(CARGO) build --locked --release
	TIDEGATE_STORM_SECONDS=$(STORM) TIDEGATE_STORM_PROGRAM=target/release/tidegate \
		$(CARGO) test --locked --test storm -- --ignored --nocapture

reproducible: ## builds the program twice, in two folders: both must be the same, byte for byte
	@scripts/setup.sh check
	@CARGO="$(CARGO)" scripts/reproducible.sh

chaos: ## one fault after the other on real nodes with clients at work: nothing lost, nothing stale, back soon; ARGS=--help
	@scripts/setup.sh test
	$(CARGO) test --locked --test chaos -- --full $(ARGS)

oracle: ## the classifier against a real standby: PostgreSQL's regression suite and more; CORPUS=orm for one of them
	@scripts/setup.sh oracle
	@CARGO="$(CARGO)" scripts/oracle.sh $(CORPUS)

conformance: ## PostgreSQL's regression suite through Tidegate, in session and in transaction pooling
	@scripts/setup.sh oracle
	@CARGO="$(CARGO)" scripts/conformance.sh $(WAY)

check: ## formatting, lints, documentation, dead links, the wall, what the program is made of
	@scripts/setup.sh check deny
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) fmt --check --manifest-path bench/load/Cargo.toml
	$(CARGO) clippy $(LOAD) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	$(CARGO) test --locked --quiet --test architecture --test docs --test supply_chain
	@CARGO="$(CARGO)" scripts/deny.sh

fmt: ## format the code
	$(CARGO) fmt

pgo: ## the fastest binary, target/pgo/release/tidegate: optimised by a profile of itself at work
	@scripts/setup.sh bench
	@CARGO="$(CARGO)" scripts/pgo.sh

bench: ## throughput, latency, CPU, memory per hop, beside other proxies; then bench-freshness; ARGS=--quick for a first look
	@scripts/setup.sh bench
	$(CARGO) build --locked --release
	$(CARGO) build --release $(LOAD)
	python3 bench/run.py $(ARGS)
	python3 bench/freshness.py $(ARGS)

bench-freshness: ## what freshness gains and costs: offload, reopening, strong reads
	@scripts/setup.sh bench
	$(CARGO) build --locked --release
	$(CARGO) build --release $(LOAD)
	python3 bench/freshness.py $(ARGS)

bench-classify: ## what knowing a statement costs: shape key, cold classification, large texts
	@scripts/setup.sh check
	$(CARGO) bench --locked --bench classify -- $(ARGS)

fuzz: ## fuzz the protocol, logins, SQL, configuration and sessions, SECONDS_EACH for each target; needs no cluster
	@scripts/setup.sh check
	@FUZZ_JOBS=$(FUZZ_JOBS) scripts/fuzz.sh $(SECONDS_EACH) $(ARGS)

compose-test: ## docker-compose.yml from scratch: starts, replicates, splits reads (skipped without Docker)
	@scripts/compose-test.sh

site: ## the documentation as a site, in target/site
	@scripts/setup.sh site
	@scripts/site.sh

deb: ## a Debian package, in target/debian
	@scripts/setup.sh deb
	@CARGO="$(CARGO)" scripts/deb.sh

deb-test: deb ## installs the package on a Debian with systemd, in a container: runs, upgrades, removes it (skipped without Docker)
	@scripts/deb-test.sh

archive: ## a release's archive with its checksum, in target/archive, for scripts/install.sh --from
	@scripts/setup.sh check
	@CARGO="$(CARGO)" scripts/archive.sh
