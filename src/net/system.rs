//! What the system says of this machine's addresses, its users and its limits.

use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use nix::unistd::{Uid, User};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The addresses of this machine, each with the mask of its network.
pub fn interfaces() -> io::Result<Vec<(IpAddr, IpAddr)>> {
    let both =
        |address: Option<SockaddrStorage>, mask: Option<SockaddrStorage>| Some((ip(&address?)?, ip(&mask?)?));
    Ok(getifaddrs()?.filter_map(|interface| both(interface.address, interface.netmask)).collect())
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// The name of the system's user with this number. May ask a directory in the network, and blocks meanwhile.
pub fn user_name(number: u32) -> io::Result<Option<String>> {
    Ok(User::from_uid(Uid::from_raw(number))?.map(|user| user.name))
}

/// Raises the number of files that may be open to what the process is allowed.
pub fn raise_file_limit() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// How many files may be open; `None` means any number.
pub fn file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback_address() {
        let mask = IpAddr::from([255, 0, 0, 0]);
        assert!(interfaces().unwrap().contains(&([127, 0, 0, 1].into(), mask)));
    }

    #[test]
    fn root_has_the_number_0() {
        assert_eq!(user_name(0).unwrap().as_deref(), Some("root"));
        assert_eq!(user_name(3_999_999_999).unwrap(), None);
    }
}
