//! Tidegate: a PostgreSQL proxy that makes read replicas safe to use without changing the application.
//!
//! The pure core (`wire`, `auth`, `sql`, `freshness`, `health`, `routing`, `history`) knows no socket, clock, randomness or global; the
//! I/O shell (`session`, `server`, `pool`, `cluster`, `admin`) hands facts and instants in. `docs/architecture.md`
//! walks through it.
#![forbid(unsafe_code)]

pub mod admin;
pub mod auth;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod freshness;
pub mod health;
pub mod history;
pub mod local;
pub mod net;
pub mod pool;
pub mod routing;
pub mod server;
pub mod session;
pub mod spans;
pub mod sql;
pub mod stats;
pub mod tls;
pub mod topology;
pub mod wire;
