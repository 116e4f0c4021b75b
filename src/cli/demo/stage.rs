//! The stage: the servers with what is in them, and the proxy's settings for them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use crate::cli::args::DemoArgs;
use crate::cli::running::Running;
use crate::cluster::State;
use crate::config::{Given, Secret, Settings, Sources, load};
use crate::local::{LocalCluster, Options, PgBin, binaries};

/// How long the proxy may take to find every node.
const FIND_NODES: Duration = Duration::from_secs(30);
/// A transaction that somebody left open by hand holds up the end no longer than this.
const LEAVE: Duration = Duration::from_secs(1);

/// Products, and orders of each.
pub(super) const PRODUCTS: i32 = 1_000;
const ORDERS_PER_PRODUCT: i32 = 5;

/// Finds what is needed before anything is started, so that a mistake is told at once.
pub(super) fn prepare(args: &DemoArgs) -> Result<PgBin, String> {
    if let Err(error) = TcpListener::bind(args.listen) {
        return Err(cannot_listen(args.listen, &error));
    }
    binaries::find(args.pg_bin.as_deref()).map_err(|error| format!("{error} with --pg-bin DIR"))
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "cannot listen on {address}: another program does already. Stop it, or let the system choose a port with \
             --listen {}",
            SocketAddr::new(address.ip(), 0)
        ),
        _ => format!("cannot listen on {address}: {error}. Choose another address with --listen"),
    }
}

/// Starts the servers and fills them. Not to be cancelled: programs are run by a thread that would go on.
pub(super) async fn build(bin: PgBin, args: &DemoArgs) -> Result<LocalCluster, String> {
    let (clients, lag) = (args.clients, args.lag.map(Duration::from_millis));
    let building = tokio::task::spawn_blocking(move || {
        let cluster = LocalCluster::start(&Options::new(bin))?;
        cluster.primary().psql(&tables(clients))?;
        cluster.wait_caught_up()?;
        if let Some(lag) = lag {
            cluster.replicas().iter().try_for_each(|replica| replica.set_apply_delay(lag))?;
        }
        Ok::<_, crate::local::Error>(cluster)
    });
    match building.await {
        Ok(built) => built.map_err(|error| format!("cannot start PostgreSQL: {error}")),
        Err(error) => Err(format!("cannot start PostgreSQL: {error}")),
    }
}

fn tables(clients: u32) -> String {
    format!(
        "set role app;
         create table counters (id int primary key, value bigint not null);
         insert into counters select id, 0 from generate_series(0, {clients} - 1) id;
         create table products (id int primary key, name text not null, price int not null);
         insert into products select id, 'product ' || id, 100 + id % 900 from generate_series(1, {PRODUCTS}) id;
         create table orders (id serial primary key, product_id int not null references products, quantity int not null);
         insert into orders (product_id, quantity)
             select id, n from generate_series(1, {PRODUCTS}) id, generate_series(1, {ORDERS_PER_PRODUCT}) n;
         create index on orders (product_id);
         analyze counters, products, orders;"
    )
}

/// The proxy's settings: all hosts in one URL, as a user would write it. Which one is the primary is found out.
pub(super) fn settings(cluster: &LocalCluster, args: &DemoArgs) -> Result<Settings, String> {
    let nodes = [cluster.primary()].into_iter().chain(cluster.replicas());
    let hosts: Vec<String> = nodes.map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let flags = Given {
        url: Some(Secret::new(format!("postgres://app:secret@{}/app", hosts.join(",")))),
        listen: vec![args.listen.to_string()],
        admin: Some(admin(args.listen)),
        ..Given::default()
    };
    let mut settings =
        load(&Sources { flags, ..Sources::default() }).map_err(|mistakes| mistakes.to_string())?;
    settings.shutdown_timeout = LEAVE;
    Ok(settings)
}

/// The admin address: the port behind the clients', where `tidegate report` and the like look by default, or any other one if
/// that is taken.
fn admin(listen: SocketAddr) -> String {
    let next = listen.port().checked_add(1).filter(|_| listen.port() != 0);
    let free = next.filter(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    format!("127.0.0.1:{}", free.unwrap_or(0))
}

/// Waits until the proxy knows the role of every node. Cancel safe.
pub(super) async fn ready(running: &Running) -> Result<(), String> {
    let nodes: Vec<_> = running.proxy.databases().values().flat_map(|d| d.cluster.nodes().to_vec()).collect();
    let found = async {
        while !nodes.iter().all(|node| matches!(node.state(), State::Primary | State::Replica)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(FIND_NODES, found).await;
    in_time.map_err(|_| "the proxy did not find the primary and both replicas; try again".to_owned())
}

/// Where clients on this machine reach a listener: one on every address is also on this machine's own.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_address_lies_behind_the_clients_unless_that_is_taken() {
        let local = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert_eq!(admin(local(0)), "127.0.0.1:0");
        assert_eq!(admin(local(u16::MAX)), "127.0.0.1:0");
        let taken = TcpListener::bind(local(0)).expect("a free port");
        let port = taken.local_addr().expect("an address").port();
        assert_eq!(admin(local(port - 1)), "127.0.0.1:0");
        drop(taken);
        assert_eq!(admin(local(port - 1)), format!("127.0.0.1:{port}"));
    }
}
