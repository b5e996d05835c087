//! Entries of the zone tries. The zones are valid: prefixes have no host bits and are in one zone each.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bridge_common::abi::maps::HOST_ADDRESSES;
use bridge_common::abi::{ZONE_HOST, ZoneEntry};
use ipnet::{IpNet, Ipv6Net};

use super::LowerError;
use crate::topology::model::Zone;

/// Entries of one family, sorted by network and prefix length.
type Entries<A> = Vec<(u32, A, ZoneEntry)>;

/// All IPv6 link-local unicast addresses (RFC 4291, 2.5.6): in no zone.
const LINK_LOCAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// Prefix to entry, and which prefix lengths there are.
#[derive(Default)]
struct Trie {
    entries: HashMap<IpNet, ZoneEntry>,
    lengths4: BTreeSet<u8>,
    lengths6: BTreeSet<u8>,
}

impl Trie {
    fn insert(&mut self, prefix: IpNet, entry: ZoneEntry) {
        match prefix {
            IpNet::V4(_) => self.lengths4.insert(prefix.prefix_len()),
            IpNet::V6(_) => self.lengths6.insert(prefix.prefix_len()),
        };
        self.entries.insert(prefix, entry);
    }

    /// Entry of the longest prefix that covers `address`; 0, in no zone, if none does.
    fn get(&self, address: IpAddr) -> ZoneEntry {
        let lengths = if address.is_ipv4() { &self.lengths4 } else { &self.lengths6 };
        lengths
            .iter()
            .rev()
            .filter_map(|&length| IpNet::new(address, length).ok())
            .find_map(|prefix| self.entries.get(&prefix.trunc()).copied())
            .unwrap_or(0)
    }
}

/// Both families' entries: the zones' prefixes, link-local addresses taken out, and the host's own addresses.
pub(super) fn entries(
    zones: &[Zone],
    host_addresses: &[IpAddr],
) -> Result<(Entries<Ipv4Addr>, Entries<Ipv6Addr>), LowerError> {
    let mut trie = Trie::default();
    let numbered = zones.iter().zip(1..).flat_map(|(zone, number)| zone.prefixes.iter().map(move |p| (*p, number)));
    let mut link_local_covered = false;
    for (prefix, number) in numbered {
        if let IpNet::V6(v6) = prefix {
            if LINK_LOCAL.contains(&v6) {
                continue;
            }
            link_local_covered |= v6.contains(&LINK_LOCAL);
        }
        trie.insert(prefix, number);
    }
    if link_local_covered {
        trie.insert(IpNet::V6(LINK_LOCAL), 0);
    }
    add_host(&mut trie, host_addresses, usize::from(link_local_covered))?;
    let (mut zones4, mut zones6) = (Vec::new(), Vec::new());
    for (prefix, entry) in trie.entries {
        match prefix {
            IpNet::V4(v4) => zones4.push((u32::from(v4.prefix_len()), v4.network(), entry)),
            IpNet::V6(v6) => zones6.push((u32::from(v6.prefix_len()), v6.network(), entry)),
        }
    }
    zones4.sort_unstable_by_key(|&(length, network, _)| (network, length));
    zones6.sort_unstable_by_key(|&(length, network, _)| (network, length));
    Ok((zones4, zones6))
}

/// Adds the host's addresses; `others6` entries beyond the zones' prefixes are in the IPv6 trie already.
fn add_host(trie: &mut Trie, addresses: &[IpAddr], others6: usize) -> Result<(), LowerError> {
    let own: BTreeSet<_> = addresses.iter().filter(|a| !a.is_unspecified() && !a.is_multicast()).collect();
    let count4 = own.iter().filter(|address| address.is_ipv4()).count();
    let most = count4.max(own.len() - count4 + others6);
    if most > HOST_ADDRESSES as usize {
        return Err(LowerError::TooManyHostAddresses(most));
    }
    for &&address in &own {
        let entry = trie.get(address) | ZONE_HOST;
        trie.insert(IpNet::from(address), entry);
    }
    Ok(())
}
