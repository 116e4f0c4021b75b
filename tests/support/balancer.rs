//! A balancer of TCP connections in front of several proxies: each gets the next one in turn.
//!
//! As balancers do, it takes the next proxy when one refuses, and knows nothing of what it carries.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The balancer. It listens for as long as the process lives.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
}

impl Balancer {
    /// In front of these.
    pub fn before(proxies: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for (turn, client) in listener.incoming().map_while(Result::ok).enumerate() {
                let order = proxies.iter().cycle().skip(turn % proxies.len()).take(proxies.len());
                // Nobody there: the client is hung up on.
                let Some(proxy) = order.copied().find_map(|proxy| TcpStream::connect(proxy).ok()) else {
                    continue;
                };
                carry(&client, &proxy);
            }
        });
        Self { address }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `postgres://app:secret@127.0.0.1:port/app`
    pub fn url(&self) -> String {
        format!("postgres://app:secret@{}/app", self.address)
    }
}

/// Carries what either side says to the other until one hangs up.
fn carry(client: &TcpStream, proxy: &TcpStream) {
    for (from, to) in [(client, proxy), (proxy, client)] {
        let _ = from.set_nodelay(true);
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
}
