//! Address messages to the host's own addresses.

use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};

use super::NetlinkError;
use crate::source::Link;

/// IPv4 and IPv6 addresses, ascending, none twice, those of loopback interfaces left out. `None`: some address is on a link that the look
/// at the links did not show, so the two looks do not go together.
pub(super) fn addresses(
    messages: Vec<RouteNetlinkMessage>,
    links: &[(Link, bool)],
) -> Result<Option<Vec<IpAddr>>, NetlinkError> {
    let mut addresses = Vec::with_capacity(messages.len());
    for message in messages {
        let RouteNetlinkMessage::NewAddress(message) = message else {
            return Err(NetlinkError::Unreadable("a dump of addresses has another message in it".into()));
        };
        let Some(address) = local(&message) else { continue };
        let Ok(at) = links.binary_search_by_key(&message.header.index, |(link, _)| link.ifindex) else {
            return Ok(None);
        };
        if !links[at].1 {
            addresses.push(address);
        }
    }
    addresses.sort();
    addresses.dedup();
    Ok(Some(addresses))
}

/// On point-to-point links IFA_ADDRESS is the peer's and IFA_LOCAL ours (linux/if_addr.h); otherwise IPv6 has IFA_ADDRESS only.
fn local(message: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => return Some(*address),
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::source::LinkKind;

    fn link(ifindex: u32) -> Link {
        Link {
            ifindex,
            name: format!("if{ifindex}"),
            mac: None,
            mtu: 1500,
            running: true,
            master: None,
            kind: LinkKind::Other,
            vlan_of: None,
            bridge_port: None,
            bridge: None,
            rx_packets: 0,
            vlans: None,
            xdp_target: None,
        }
    }

    fn message(index: u32, attributes: Vec<AddressAttribute>) -> RouteNetlinkMessage {
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.attributes = attributes;
        RouteNetlinkMessage::NewAddress(message)
    }

    #[test]
    fn our_end_of_a_point_to_point_link_and_never_loopback() {
        let (ours, peer): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let links = [(link(1), true), (link(2), false)];
        let messages = vec![
            message(1, vec![AddressAttribute::Address("127.0.0.1".parse().unwrap())]),
            message(2, vec![AddressAttribute::Address(peer), AddressAttribute::Local(ours)]),
        ];
        assert_eq!(addresses(messages, &links).unwrap(), Some(vec![ours]));
    }

    #[test]
    fn an_address_on_an_unseen_link_means_look_again() {
        let messages = vec![message(3, vec![AddressAttribute::Address("10.0.0.1".parse().unwrap())])];
        assert_eq!(addresses(messages, &[(link(2), false)]).unwrap(), None);
    }
}
