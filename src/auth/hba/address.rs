//! Addresses in `pg_hba.conf`.

use core::net::IpAddr;

use crate::auth::lines::{Word, Wrong};

/// Addresses whose bits under the mask are those of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u128,
    mask: u128,
    is_v4: bool,
}

impl Network {
    /// The addresses that agree with `base` in every bit of `mask`; `None` if they are of two kinds.
    pub fn new(base: IpAddr, mask: IpAddr) -> Option<Self> {
        let is_v4 = base.is_ipv4();
        (is_v4 == mask.is_ipv4()).then(|| Self { base: bits(base), mask: bits(mask), is_v4 })
    }

    /// The addresses that agree with `base` in its first `length` bits; `None` if it has fewer.
    fn with_prefix(base: IpAddr, length: u32) -> Option<Self> {
        let width = if base.is_ipv4() { 32 } else { 128 };
        let rest = u32::checked_sub(width, length)?;
        let all = u128::MAX >> (128 - width);
        let mask = all.checked_shl(rest).unwrap_or(0) & all;
        Some(Self { base: bits(base), mask, is_v4: base.is_ipv4() })
    }

    /// Whether the address is one of these. One of IPv4 that came by IPv6 is one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.is_v4 && (bits(address) ^ self.base) & self.mask == 0
    }

    /// Whether it has loopback addresses only: `127.0.0.0/8` and `::1`.
    fn is_loopback(&self) -> bool {
        let (base, fixed) = if self.is_v4 { (127 << 24, 0xff << 24) } else { (1, u128::MAX) };
        self.mask & fixed == fixed && self.base & fixed == base
    }

    /// Whether it is exactly this address, whatever the mask.
    fn is_of(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.is_v4 && bits(address) == self.base
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Whom a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Anywhere,
    /// This machine's own addresses.
    SameHost,
    /// The networks that this machine is in.
    SameNet,
    Network(Network),
}

impl From {
    /// Reads an address, to which a mask belongs where it has none itself: then it is a single address so far.
    pub(super) fn read(word: &Word) -> Result<(Self, Option<IpAddr>), Wrong> {
        for (keyword, from) in
            [("all", Self::Anywhere), ("samehost", Self::SameHost), ("samenet", Self::SameNet)]
        {
            if word.is(keyword) {
                return Ok((from, None));
            }
        }
        let text = word.text.as_str();
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            let problem =
                format!("{text:?} is no IP address, and names of hosts are not looked up for a login");
            return Err(Wrong::new(
                problem,
                "Write addresses as 10.0.0.0/8 or fd00::/8, or all, samehost or samenet",
            ));
        };
        let Some(length) = length else { return Ok((Self::Anywhere, Some(address))) };
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let network = length.parse().ok().filter(|_| digits).and_then(|n| Network::with_prefix(address, n));
        let network = network.ok_or_else(|| {
            Wrong::new(
                format!("invalid CIDR mask in address {text:?}"),
                "Write at most /32, or /128 for IPv6",
            )
        })?;
        Ok((Self::Network(network), None))
    }

    /// The addresses around one, by a mask that stands for itself.
    pub(super) fn masked(address: IpAddr, mask: &Word) -> Result<Self, Wrong> {
        let problem = match mask.text.parse::<IpAddr>() {
            Ok(parsed) => match Network::new(address, parsed) {
                Some(network) => return Ok(Self::Network(network)),
                None => "IP address and mask do not match".to_owned(),
            },
            Err(_) => format!("invalid IP mask {:?}", mask.text),
        };
        Err(Wrong::new(problem, "Write an address as 10.0.0.0/8, or a mask such as 255.0.0.0 behind it"))
    }

    /// Whether only this machine has such addresses.
    pub(super) fn is_this_machine(&self) -> bool {
        match self {
            Self::Anywhere | Self::SameNet => false,
            Self::SameHost => true,
            Self::Network(network) => network.is_loopback(),
        }
    }

    pub(super) fn is_about(&self, address: IpAddr, interfaces: &[Network]) -> bool {
        match self {
            Self::Anywhere => true,
            Self::SameHost => interfaces.iter().any(|interface| interface.is_of(address)),
            Self::SameNet => interfaces.iter().any(|interface| interface.contains(address)),
            Self::Network(network) => network.contains(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        let word = Word { text: text.to_owned(), is_quoted: false };
        match From::read(&word) {
            Ok((From::Network(network), None)) => network,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_have_their_addresses() {
        let table = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "1.2.3.4", false),
            ("::/0", "::1", true),
            ("192.168.1.1/32", "192.168.1.1", true),
            ("192.168.1.1/32", "192.168.1.2", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::1/128", "::1", true),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ];
        for (text, address, is_in) in table {
            assert_eq!(network(text).contains(ip(address)), is_in, "{text} {address}");
        }
    }

    #[test]
    fn masks_need_not_be_prefixes() {
        let odd = Network::new(ip("10.0.0.1"), ip("255.0.0.1")).unwrap();
        assert!(odd.contains(ip("10.7.7.3")) && !odd.contains(ip("10.7.7.2")));
        assert_eq!(Network::new(ip("10.0.0.1"), ip("ff::")), None);
    }

    #[test]
    fn interfaces_are_hosts_and_networks() {
        let interfaces = [Network::new(ip("10.0.0.5"), ip("255.255.255.0")).unwrap()];
        assert!(From::SameHost.is_about(ip("10.0.0.5"), &interfaces));
        assert!(!From::SameHost.is_about(ip("10.0.0.6"), &interfaces));
        assert!(From::SameNet.is_about(ip("10.0.0.6"), &interfaces));
        assert!(!From::SameNet.is_about(ip("10.0.1.6"), &interfaces));
    }
}
