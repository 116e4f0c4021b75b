# The base images, by tag unless told otherwise. For a build that others can repeat, name them by digest:
#
#   docker build --build-arg RUST_IMAGE=rust@sha256:… --build-arg RUNTIME_IMAGE=debian@sha256:… .
#
# Two builds of one commit with the same base images and the same Debian packages give the same program, byte for byte,
# in whichever folder: see docs/security.md.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
# PostgreSQL's grammar (the pg_query crate) is bound through bindgen, which loads libclang.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates clang libclang-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# What would say where and when it was built.
ENV SOURCE_DATE_EPOCH=0 \
    CARGO_INCREMENTAL=0 \
    RUSTFLAGS="--remap-path-prefix=/src=tidegate --remap-path-prefix=/usr/local/cargo=cargo" \
    CFLAGS="-ffile-prefix-map=/src=tidegate -ffile-prefix-map=/usr/local/cargo=cargo"

# The dependencies alone, so that this layer is kept while only our own code changes. Cargo wants to see a file for
# every target the manifest names.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches tests \
    && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && named() { sed -n "/^\[\[$1\]\]/,/^\$/s/^name = \"\(.*\)\"/\1/p" Cargo.toml; } \
    && for name in $(named bench); do touch "benches/$name.rs"; done \
    && for name in $(named test); do touch "tests/$name.rs"; done \
    && cargo build --release --locked \
    && rm -r src benches

COPY . .
# Which commit this is, for `tidegate version`: --build-arg TIDEGATE_COMMIT="$(git rev-parse HEAD)". The repository stays outside.
ARG TIDEGATE_COMMIT
# Cargo goes by modification times, and the checked-out files may be older than the layer above.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM ${RUNTIME_IMAGE}
# Whom sslrootcert=system trusts.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY docker/healthcheck.sh /usr/local/bin/healthcheck
COPY --from=build /src/target/release/tidegate /usr/local/bin/tidegate
# A number, so that an orchestrator sees that it is not root. It owns nothing, and the program writes no file: the root
# may be read-only.
USER 10001:10001
# 6432: PostgreSQL's protocol; 6433: metrics and health
EXPOSE 6432 6433
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["tidegate"]
CMD ["run"]
