//! Link messages to rows. A link without a name or MTU is an error, never left out.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BridgeBooleanOptionFlags, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, LinkAttribute, LinkFlags,
    LinkInfo, LinkLayerType, LinkMessage, VlanProtocol,
};

use super::NetlinkError;
use crate::source::{BridgePort, Link, LinkKind, LinuxBridge};

/// The kernel gives a bridge's times in USER_HZ (net/bridge/br_netlink.c, `jiffies_to_clock_t`): 100 on every architecture but Alpha.
const USER_HZ: u32 = 100;

/// Rows by ascending ifindex, each with whether it is a loopback interface.
pub(super) fn links(messages: Vec<RouteNetlinkMessage>) -> Result<Vec<(Link, bool)>, NetlinkError> {
    let mut links = messages.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
    links.sort_by_key(|(link, _)| link.ifindex);
    Ok(links)
}

fn row(message: RouteNetlinkMessage) -> Result<(Link, bool), NetlinkError> {
    match message {
        RouteNetlinkMessage::NewLink(message) => link(message),
        other => {
            Err(NetlinkError::Unreadable(format!("a dump of links has a message of type {}", other.message_type())))
        }
    }
}

fn link(message: LinkMessage) -> Result<(Link, bool), NetlinkError> {
    let (header, ethernet) = (&message.header, message.header.link_layer_type == LinkLayerType::Ether);
    let running = header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
    let loopback = header.flags.contains(LinkFlags::Loopback);
    let (mut name, mut mtu, mut mac, mut master) = (None, None, None, None);
    let (mut below, mut below_elsewhere, mut is_vlan) = (None, false, false);
    let (mut kind, mut bridge_port, mut bridge) = (LinkKind::Other, None, None);
    let mut rx_packets = 0;
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = Some(value),
            LinkAttribute::Mtu(value) => mtu = Some(value),
            LinkAttribute::Stats64(value) => rx_packets = value.rx_packets,
            LinkAttribute::Address(value) if ethernet => mac = value.try_into().ok(),
            LinkAttribute::Controller(value) if value != 0 => master = Some(value),
            LinkAttribute::Link(value) => below = Some(value),
            // The index is then another namespace's.
            LinkAttribute::LinkNetNsId(_) => below_elsewhere = true,
            LinkAttribute::LinkInfo(infos) => {
                is_vlan = infos.contains(&LinkInfo::Kind(InfoKind::Vlan));
                (kind, bridge, bridge_port) = details(infos, ethernet);
            }
            _ => {}
        }
    }
    let ifindex = header.index;
    let missing = |what| NetlinkError::Unreadable(format!("the link with index {ifindex} has no {what}"));
    let (name, mtu) = (name.ok_or_else(|| missing("name"))?, mtu.ok_or_else(|| missing("MTU"))?);
    Ok((
        Link {
            ifindex,
            name,
            mac,
            mtu,
            rx_packets,
            running,
            master,
            kind,
            vlan_of: below.filter(|_| is_vlan && !below_elsewhere),
            bridge_port,
            bridge,
            vlans: None,
            xdp_target: None,
        },
        loopback,
    ))
}

fn details(infos: Vec<LinkInfo>, ethernet: bool) -> (LinkKind, Option<LinuxBridge>, Option<BridgePort>) {
    let (mut kind, mut bridge, mut port) = (LinkKind::Other, None, None);
    for info in infos {
        match info {
            LinkInfo::Kind(value) => kind = link_kind(&value, ethernet),
            LinkInfo::Data(InfoData::Bridge(settings)) => bridge = Some(linux_bridge(&settings)),
            LinkInfo::PortData(InfoPortData::BridgePort(settings)) => port = Some(bridge_port(&settings)),
            _ => {}
        }
    }
    (kind, bridge, port)
}

/// "tun" is both IFF_TAP and IFF_TUN; the latter has no Ethernet header.
fn link_kind(kind: &InfoKind, ethernet: bool) -> LinkKind {
    match kind {
        InfoKind::Tun if ethernet => LinkKind::Tap,
        InfoKind::Veth => LinkKind::Veth,
        InfoKind::Bridge => LinkKind::Bridge,
        _ => LinkKind::Other,
    }
}

fn linux_bridge(settings: &[InfoBridge]) -> LinuxBridge {
    let mut bridge = LinuxBridge::default();
    for setting in settings {
        match setting {
            // Rounded down: never older than the bridge's own entry.
            InfoBridge::AgeingTime(value) => bridge.ageing_time = value / USER_HZ,
            InfoBridge::VlanFiltering(value) => bridge.vlan_filtering = *value,
            InfoBridge::MultiBoolOpt(value) => bridge.mst = value.value.contains(BridgeBooleanOptionFlags::MstEnable),
            InfoBridge::VlanProtocol(value) => bridge.service_vlans = *value == VlanProtocol::Ieee8021Ad,
            InfoBridge::NfCallIpTables(value)
            | InfoBridge::NfCallIp6Tables(value)
            | InfoBridge::NfCallArpTables(value) => {
                bridge.nf_call |= value;
            }
            _ => {}
        }
    }
    bridge
}

/// Defaults are what an older kernel, which does not know the attribute, does; for the state: disabled.
fn bridge_port(settings: &[InfoBridgePort]) -> BridgePort {
    let mut port =
        BridgePort { state: 0, isolated: false, locked: false, hairpin: false, learning: false, neigh_suppress: false };
    for setting in settings {
        match setting {
            InfoBridgePort::State(value) => port.state = u8::from(*value),
            InfoBridgePort::Isolated(value) => port.isolated = *value,
            InfoBridgePort::Locked(value) => port.locked = *value,
            InfoBridgePort::HairpinMode(value) => port.hairpin = *value,
            InfoBridgePort::Learning(value) => port.learning = *value,
            // Per VLAN is suppression too.
            InfoBridgePort::NeighSupress(value) | InfoBridgePort::NeighVlanSuppress(value) => {
                port.neigh_suppress |= value
            }
            _ => {}
        }
    }
    port
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use netlink_packet_route::link::BridgeBooleanOptions;

    use super::*;

    fn message(attributes: Vec<LinkAttribute>) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.attributes = attributes;
        RouteNetlinkMessage::NewLink(message)
    }

    #[test]
    fn a_link_without_a_name_or_mtu_spoils_the_look() {
        let whole = vec![LinkAttribute::IfName("tap0".into()), LinkAttribute::Mtu(1500)];
        assert_eq!(links(vec![message(whole.clone())]).unwrap()[0].0.name, "tap0");
        for left_out in 0..2 {
            let mut attributes = whole.clone();
            attributes.remove(left_out);
            assert!(links(vec![message(whole.clone()), message(attributes)]).is_err());
        }
    }

    #[test]
    fn a_vlan_device_tells_what_is_below_it_in_this_namespace() {
        let info = |kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]);
        let below = |more: Vec<LinkAttribute>| {
            let link = vec![LinkAttribute::IfName("l".into()), LinkAttribute::Mtu(1500), LinkAttribute::Link(3)];
            links(vec![message([link, more].concat())]).unwrap()[0].0.vlan_of
        };
        assert_eq!(below(vec![info(InfoKind::Vlan)]), Some(3));
        assert_eq!(below(vec![info(InfoKind::Vlan), LinkAttribute::LinkNetNsId(0)]), None);
        assert_eq!((below(vec![info(InfoKind::Veth)]), below(vec![info(InfoKind::MacVlan)])), (None, None));
    }

    #[test]
    fn ageing_is_seconds_and_any_nf_call_counts() {
        let settings =
            [InfoBridge::AgeingTime(30050), InfoBridge::NfCallArpTables(true), InfoBridge::NfCallIpTables(false)];
        let bridge = linux_bridge(&settings);
        assert_eq!((bridge.ageing_time, bridge.nf_call, bridge.vlan_filtering), (300, true, false));
        assert!(linux_bridge(&[InfoBridge::VlanProtocol(VlanProtocol::Ieee8021Ad)]).service_vlans);
        let told = |value| {
            linux_bridge(&[InfoBridge::MultiBoolOpt(BridgeBooleanOptions {
                value,
                mask: BridgeBooleanOptionFlags::all(),
            })])
        };
        assert!(told(BridgeBooleanOptionFlags::MstEnable).mst && !told(BridgeBooleanOptionFlags::NoLinkLocalLearn).mst);
    }

    #[test]
    fn a_tun_is_no_tap() {
        assert_eq!(link_kind(&InfoKind::Tun, true), LinkKind::Tap);
        assert_eq!(link_kind(&InfoKind::Tun, false), LinkKind::Other);
    }
}
