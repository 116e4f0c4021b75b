//! The policies of `examples/prisma-backend` at an address, for those who have no OPA at hand:
//!
//! ```sh
//! cargo run --example rego -- 127.0.0.1:8181
//! ```
#![forbid(unsafe_code)]

#[path = "prisma-backend/gateway/opa/server.rs"]
mod server;

use std::io;
use std::path::Path;

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8181".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/prisma-backend/gateway/opa/policies");
    server::serve(listener, Path::new(folder)).await
}
