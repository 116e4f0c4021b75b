FROM rust:1.95-bookworm AS build
# PostgreSQL's grammar (the pg_query crate) is bound through bindgen, which loads libclang.
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang libclang-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# The dependencies alone, so that this layer is kept while only our own code changes. Cargo wants to see a file for
# every target the manifest names.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches \
    && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && sed -n '/^\[\[bench\]\]/,/^$/s/^name = "\(.*\)"/\1/p' Cargo.toml | while read -r name; do touch "benches/$name.rs"; done \
    && cargo build --release --locked \
    && rm -r src benches

COPY . .
# Cargo goes by modification times, and the checked-out files may be older than the layer above.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM debian:bookworm-slim
RUN useradd --system --no-create-home --shell /usr/sbin/nologin tidegate
COPY --from=build /src/target/release/tidegate /usr/local/bin/tidegate
USER tidegate
# 6432: PostgreSQL's protocol; 6433: metrics and health
EXPOSE 6432 6433
ENTRYPOINT ["tidegate"]
CMD ["run"]
