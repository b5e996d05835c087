//! The policy: zones, rules, flows; what always passes, and what is the host's own business (design section 2).

use super::{NO_RULE, Scratch, Tables, flow, vlan};
use crate::{
    abi::{
        Control, Drop, L4Data, PAIR_REVERSE_STATEFUL, PolicyMeta, Punt, RULE_ALLOW, RULE_NEEDS_PORTS, RULE_STATEFUL,
        RULE_VALID, RuleWord, STATION_HOST, ZONE_HOST,
    },
    wire::{
        Addr, Class, Frame, Ip, is_reserved,
        ports::{DHCP_CLIENT, DHCP_SERVER, DHCP6_CLIENT, DHCP6_SERVER},
        proto,
    },
};

/// One live policy generation.
#[derive(Clone, Copy)]
pub(super) struct Live {
    pub(super) generation: u32,
    pub(super) meta: PolicyMeta,
}

impl Live {
    /// The live generation, read once for each frame; `None` before the first.
    #[inline(always)]
    pub(super) fn read<T: Tables>(tables: &T) -> Option<Self> {
        let generation = tables.control(Control::Generation) as u32;
        if generation == 0 {
            return None;
        }
        let word = if generation & 1 == 0 { Control::MetaEven } else { Control::MetaOdd };
        Some(Self { generation, meta: PolicyMeta::unpack(tables.control(word)) })
    }
}

/// Which way a frame is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Into a managed port: the host's addresses must not be a source.
    Ingress,
    /// Out of one: what the host sends is its own business.
    Egress,
}

/// A frame that the policy lets pass.
#[derive(Clone, Copy)]
pub(super) struct Permit {
    /// Why it must go to the slow path all the same, if it must.
    pub(super) punt: Option<Punt>,
    /// Rule slot, or [`NO_RULE`].
    pub(super) rule: u32,
}

/// A frame that the policy drops.
#[derive(Clone, Copy)]
pub(super) struct Denial {
    pub(super) reason: Drop,
    /// Rule slot, or [`NO_RULE`].
    pub(super) rule: u32,
}

impl Permit {
    #[inline(always)]
    fn unjudged(punt: Option<Punt>) -> Self {
        Self { punt, rule: NO_RULE }
    }
}

impl Denial {
    #[inline(always)]
    fn unjudged(reason: Drop) -> Self {
        Self { reason, rule: NO_RULE }
    }
}

/// Judges a readable frame. `slot` is the port whose quota an opened flow uses; what becomes of a flow goes into
/// `scratch`.
#[inline(always)]
pub(super) fn judge<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    scratch: &mut Scratch,
    live: Live,
    side: Side,
    slot: u16,
) -> Result<Permit, Denial> {
    let packet = &scratch.packet;
    match packet.class {
        Class::Ip => judge_ip(tables, frame, scratch, live, side, slot),
        Class::Arp | Class::Control => Ok(Permit::unjudged(Some(Punt::Control))),
        Class::Refresh => Err(Denial::unjudged(Drop::Refresh)),
        _ if is_reserved(&packet.destination.mac) => Ok(Permit::unjudged(Some(Punt::Control))),
        Class::Stacked => Ok(Permit::unjudged(Some(Punt::Vlan))),
        Class::Other if live.meta.drop_other_ethertypes => Err(Denial::unjudged(Drop::Ethertype)),
        Class::Other => Ok(Permit::unjudged(Some(Punt::Ethertype))),
    }
}

#[inline(always)]
fn judge_ip<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    scratch: &mut Scratch,
    live: Live,
    side: Side,
    slot: u16,
) -> Result<Permit, Denial> {
    let packet = &scratch.packet;
    let ip = &packet.ip;
    let from = tables.zone(live.generation, ip.family, &ip.src.0);
    if from & ZONE_HOST != 0 {
        match side {
            Side::Ingress => return Err(Denial::unjudged(Drop::HostSpoof)),
            Side::Egress if vlan::bound(tables, packet.source.mac).is(STATION_HOST) => {
                return Ok(Permit::unjudged(None));
            }
            Side::Egress => {}
        }
    }
    let reserved = if is_reserved(&packet.destination.mac) { Some(Punt::Control) } else { None };
    if always_passes(ip) {
        return Ok(Permit::unjudged(Some(Punt::Control)));
    }
    if ip.to_group() {
        return Ok(Permit::unjudged(reserved.or(Some(Punt::Multicast))));
    }
    let to = tables.zone(live.generation, ip.family, &ip.dst.0);
    if side == Side::Ingress && to & ZONE_HOST != 0 && vlan::bound(tables, packet.destination.mac).is(STATION_HOST) {
        return Ok(Permit::unjudged(reserved));
    }
    // Link-local addresses are in no zone by definition, and the unspecified one is nobody's.
    scratch.zoneless = side == Side::Ingress && from as u16 == 0 && !is_link_local(&ip.src) && !ip.src.is_unspecified();
    let judged = judge_pair(tables, frame, scratch, live, (from as u16, to as u16), slot)?;
    Ok(Permit { punt: reserved, ..judged })
}

#[inline(always)]
fn judge_pair<T: Tables, F: Frame>(
    tables: &T,
    frame: &F,
    scratch: &mut Scratch,
    live: Live,
    (from, to): (u16, u16),
    slot: u16,
) -> Result<Permit, Denial> {
    let Some(pair) = pair(tables, live, from, to) else {
        return Err(Denial::unjudged(Drop::NotReady));
    };
    scratch.hold.ports_read = pair.class != 0;
    let asks_flows = live.meta.stateful && (pair.flags & PAIR_REVERSE_STATEFUL != 0 || scratch.packet.ip.is_icmp());
    if asks_flows && flow::may_pass(tables, scratch) {
        scratch.hold.ports_read = true;
        if let Some(rule) = flow::passes(tables, frame, live, scratch) {
            return Ok(Permit { punt: None, rule });
        }
    }
    let word = rule_of(tables, live, pair.word, pair.class, scratch.packet.ip.proto, port_of(&scratch.packet.ip));
    let rule = word & 0xffff;
    if word & RULE_VALID == 0 {
        return Err(Denial::unjudged(Drop::NotReady));
    }
    if word & RULE_NEEDS_PORTS != 0 {
        return Err(Denial::unjudged(Drop::FragmentNoPorts));
    }
    if word & RULE_ALLOW == 0 {
        return Err(Denial { reason: Drop::Policy, rule });
    }
    // A flow that is opened the other way must see what passes here: not even without any may it be taken for all ports.
    scratch.hold.ports_read |= asks_flows;
    if word & RULE_STATEFUL != 0 {
        scratch.hold.ports_read = true;
        let opening = flow::Opening { generation: live.generation, rule: rule as u16, slot };
        if !flow::open(tables, opening, scratch) {
            return Err(Denial { reason: Drop::FlowTableFull, rule });
        }
    }
    Ok(Permit { punt: None, rule })
}

/// Entry of the pair matrix; `None` when the map is not filled.
#[inline(always)]
pub(super) fn pair<T: Tables>(tables: &T, live: Live, from: u16, to: u16) -> Option<crate::abi::Pair> {
    tables.pair(live.generation, u32::from(from) * u32::from(live.meta.stride) + u32::from(to))
}

/// Destination port, if rules with ports can be applied.
#[inline(always)]
fn port_of(ip: &Ip) -> Option<u16> {
    if ip.has_ports() { Some(ip.dport) } else { None }
}

/// The rule for a protocol and port under a pair's `fallback` and `class`.
#[inline(always)]
pub(super) fn rule_of<T: Tables>(
    tables: &T,
    live: Live,
    fallback: RuleWord,
    class: u16,
    proto: u8,
    port: Option<u16>,
) -> RuleWord {
    if class == 0 {
        return fallback;
    }
    let (portless, port) = match port {
        Some(port) => (0, port),
        None => (1, 0),
    };
    let key = L4Data { class: class.to_be_bytes(), proto, portless, port: port.to_be_bytes(), pad: [0; 2] };
    tables.l4(live.generation, &key).unwrap_or(fallback)
}

/// Traffic without which a segment does not work, which no policy stops.
#[inline(always)]
fn always_passes(ip: &Ip) -> bool {
    if ip.later_fragment {
        return ip.family == 4 && ip.proto == proto::IGMP;
    }
    match (ip.family, ip.proto) {
        (4, proto::IGMP) => true,
        (4, proto::UDP) => {
            let dhcp = matches!((ip.sport, ip.dport), (DHCP_SERVER, DHCP_CLIENT) | (DHCP_CLIENT, DHCP_SERVER));
            dhcp && (ip.src.is_unspecified() || ip.dst.as_v4() == [255; 4])
        }
        (6, proto::UDP) => {
            let dhcp = matches!((ip.sport, ip.dport), (DHCP6_SERVER, DHCP6_CLIENT) | (DHCP6_CLIENT, DHCP6_SERVER));
            dhcp && (ip.to_group() || is_link_local(&ip.dst))
        }
        (6, proto::ICMPV6) => {
            let neighbour = matches!(ip.icmp_type, 133..=137);
            let listener = matches!(ip.icmp_type, 130 | 131 | 132 | 143);
            listener || neighbour && ip.icmp_code == 0 && ip.hop_limit == 255 && !ip.extensions
        }
        _ => false,
    }
}

/// fe80::/10; no IPv4 address that a host may use starts so.
#[inline(always)]
fn is_link_local(addr: &Addr) -> bool {
    addr.0[0] == 0xfe && addr.0[1] & 0xc0 == 0x80
}
