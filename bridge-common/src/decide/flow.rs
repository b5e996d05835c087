//! Stateful flows: what opens one, what its exact reverse is, and when it dies (design section 2).

use super::{
    FlowChange, FlowOp, Scratch, Tables,
    policy::{Live, pair, rule_of},
};
use crate::{
    abi::{FLOW_FIN_OPENER, FLOW_FIN_REPLY, FLOW_RESET, Flow, FlowKey, FlowedCell, RULE_ALLOW, RULE_STATEFUL, Usage},
    wire::{Frame, Ip, proto, quoted},
};

/// A flow's time is written at most this often, and as late again as a remembered decision holds.
const TOUCH_NS: u64 = 1_000_000_000;
const TCP_FIN: u8 = 1;
const TCP_SYN: u8 = 2;
const TCP_RST: u8 = 4;
const TCP_ACK: u8 = 16;

/// Whether [`passes`] may find anything: no more than one look, whatever the frame's ports.
#[inline(always)]
pub(super) fn may_pass<T: Tables>(tables: &T, scratch: &mut Scratch) -> bool {
    let ip = &scratch.packet.ip;
    if ip.family != 4 || ip.is_icmp() {
        return true;
    }
    let ([a, b, c, d], [e, f, g, h]) = (ip.dst.as_v4(), ip.src.as_v4());
    let cell = FlowedCell::of(u64::from_ne_bytes([a, b, c, d, e, f, g, h]), ip.proto);
    let noted = tables.flowed(cell.index);
    scratch.hold.flowed = noted.wrapping_add(1);
    cell.may_live(noted, tables.now_ns())
}

/// Whether the frame passes before any rule, as the reverse of a live flow or as an ICMP error that quotes one: gives
/// the rule slot that it counts under. A flow found to be no longer allowed is closed.
#[inline(never)]
pub(super) fn passes<T: Tables, F: Frame>(tables: &T, frame: &F, live: Live, scratch: &mut Scratch) -> Option<u32> {
    let Scratch { packet, flow, key, inner, .. } = scratch;
    if quoted(frame, &packet.ip, inner) {
        // An ICMP error passes with the flow that it quotes, in whichever direction the quoted packet went.
        if inner.src != packet.ip.dst {
            return None;
        }
        if opener_key(inner, key)
            && let Some(rule) = look_up(tables, key, live, 0, flow)
        {
            return Some(rule);
        }
        return if reply_key(inner, key) { look_up(tables, key, live, 0, flow) } else { None };
    }
    let state = reply_state(&packet.ip);
    if reply_key(&packet.ip, key) { look_up(tables, key, live, state, flow) } else { None }
}

#[inline(never)]
fn look_up<T: Tables>(tables: &T, key: &FlowKey, live: Live, state: u32, change: &mut FlowChange) -> Option<u32> {
    let now = tables.now_ns();
    let mut flow = tables.flow(key)?;
    if !flow.is_live(key.proto, now) {
        return None;
    }
    let mut changed = flow.state | state != flow.state || now.wrapping_sub(flow.seen_ns) >= TOUCH_NS;
    if flow.generation != live.generation {
        let word = opener_word(tables, key, live);
        if word & (RULE_ALLOW | RULE_STATEFUL) != RULE_ALLOW | RULE_STATEFUL {
            *change = FlowChange { op: FlowOp::Close, key: *key, flow };
            return None;
        }
        flow.generation = live.generation;
        flow.rule = word as u16;
        changed = true;
    }
    if changed {
        flow.state |= state;
        flow.seen_ns = now;
        *change = FlowChange { op: FlowOp::Renew, key: *key, flow };
    }
    Some(u32::from(flow.rule))
}

/// The opener's direction judged under the live policy.
#[inline(always)]
fn opener_word<T: Tables>(tables: &T, key: &FlowKey, live: Live) -> u32 {
    let from = tables.zone(live.generation, key.family, &key.src) as u16;
    let to = tables.zone(live.generation, key.family, &key.dst) as u16;
    let port = if key.proto == proto::TCP || key.proto == proto::UDP { Some(key.dport) } else { None };
    match pair(tables, live, from, to) {
        Some(pair) => rule_of(tables, live, pair.word, pair.class, key.proto, port),
        None => 0,
    }
}

/// Under what a flow is opened.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    /// Live policy generation.
    pub(super) generation: u32,
    /// Rule slot that allows it.
    pub(super) rule: u16,
    /// Port slot whose quota it uses.
    pub(super) slot: u16,
}

/// A frame allowed by a stateful rule opens or renews its flow. `false`: the port has used its quota.
#[inline(never)]
pub(super) fn open<T: Tables>(tables: &T, opening: Opening, scratch: &mut Scratch) -> bool {
    let Scratch { packet, flow: change, key, .. } = scratch;
    let ip = &packet.ip;
    if !opener_key(ip, key) {
        return true;
    }
    let key = *key;
    let Opening { generation, rule, slot } = opening;
    let now = tables.now_ns();
    let state = opener_state(ip);
    if let Some(old) = tables.flow(&key)
        && (old.is_live(key.proto, now) || old.port == slot)
    {
        let restart = ip.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN || !old.is_live(key.proto, now);
        let state = if restart { state } else { old.state | state };
        let same = state == old.state && generation == old.generation && rule == old.rule;
        if !same || now.wrapping_sub(old.seen_ns) >= TOUCH_NS {
            *change =
                FlowChange { op: FlowOp::Renew, key, flow: Flow { seen_ns: now, generation, rule, state, ..old } };
        }
        return true;
    }
    let limit = match tables.port(slot) {
        Some(port) => port.flow_limit,
        None => 0,
    };
    if Usage::is_full(tables.usage(slot).flows, limit) {
        return false;
    }
    *change =
        FlowChange { op: FlowOp::Open, key, flow: Flow { seen_ns: now, generation, rule, port: slot, state, pad: 0 } };
    true
}

/// Key of the flow that this packet opens; `false` if it can open none: a later fragment of a protocol with ports, an
/// ICMP message that is no query.
#[inline(never)]
fn opener_key(ip: &Ip, key: &mut FlowKey) -> bool {
    let (sport, dport) = match (ip.family, ip.proto) {
        (_, proto::TCP | proto::UDP) if ip.later_fragment => return false,
        (_, proto::TCP | proto::UDP) => (ip.sport, ip.dport),
        (4, proto::ICMP) | (6, proto::ICMPV6) => {
            if ip.later_fragment || reply_type(ip.family, ip.icmp_type) == NO_TYPE {
                return false;
            }
            (ip.sport, u16::from(ip.icmp_type))
        }
        _ => (0, 0),
    };
    *key = FlowKey { src: ip.src.0, dst: ip.dst.0, sport, dport, proto: ip.proto, family: ip.family, pad: 0 };
    true
}

/// Key of the flow whose exact reverse this packet would be; `false` if it can be none.
#[inline(never)]
fn reply_key(ip: &Ip, key: &mut FlowKey) -> bool {
    let (sport, dport) = match (ip.family, ip.proto) {
        (_, proto::TCP | proto::UDP) if ip.later_fragment => return false,
        (_, proto::TCP | proto::UDP) => (ip.dport, ip.sport),
        (4, proto::ICMP) | (6, proto::ICMPV6) => {
            let query = query_type(ip.family, ip.icmp_type);
            if ip.later_fragment || query == NO_TYPE {
                return false;
            }
            (ip.sport, u16::from(query))
        }
        _ => (0, 0),
    };
    *key = FlowKey { src: ip.dst.0, dst: ip.src.0, sport, dport, proto: ip.proto, family: ip.family, pad: 0 };
    true
}

/// No ICMP type: 255 is reserved in both families.
const NO_TYPE: u8 = 255;

/// Echo, timestamp, information (RFC 792); echo (RFC 4443): the reply's type to a query's.
#[inline(always)]
fn reply_type(family: u8, query: u8) -> u8 {
    match (family, query) {
        (4, 8) => 0,
        (4, 13) => 14,
        (4, 15) => 16,
        (6, 128) => 129,
        _ => NO_TYPE,
    }
}

#[inline(always)]
fn query_type(family: u8, reply: u8) -> u8 {
    match (family, reply) {
        (4, 0) => 8,
        (4, 14) => 13,
        (4, 16) => 15,
        (6, 129) => 128,
        _ => NO_TYPE,
    }
}

#[inline(always)]
fn opener_state(ip: &Ip) -> u32 {
    let fin = if ip.tcp_flags & TCP_FIN != 0 { FLOW_FIN_OPENER } else { 0 };
    fin | reset(ip)
}

#[inline(always)]
fn reply_state(ip: &Ip) -> u32 {
    let fin = if ip.tcp_flags & TCP_FIN != 0 { FLOW_FIN_REPLY } else { 0 };
    fin | reset(ip)
}

#[inline(always)]
fn reset(ip: &Ip) -> u32 {
    if ip.tcp_flags & TCP_RST != 0 { FLOW_RESET } else { 0 }
}
