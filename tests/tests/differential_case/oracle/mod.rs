//! What the policy's words (the design page, section 2) say of a frame: is it dropped? Written from the words over the bytes of the
//! frame, so it must not share code with `bridge-common`. Knows what the generator makes, no more: no host addresses, no guard.

mod packet;

use std::collections::HashSet;

use packet::{Packet, Reading, read};

/// Under which policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// No zones, no rules, default allow.
    AllowAll,
    /// `tests/fixtures/reference.toml`.
    Reference,
}

/// The judge; it remembers flows that stateful rules have opened.
#[derive(Debug)]
pub(crate) struct Oracle {
    policy: Policy,
    opened: HashSet<Flow>,
}

/// Source, destination, protocol, source and destination port (ICMP echo: its identifier, and 8 for a request).
type Flow = (Vec<u8>, Vec<u8>, u8, u16, u16);

#[derive(PartialEq, Eq, Clone, Copy)]
enum Zone {
    Internal,
    Lan,
    None,
}

impl Oracle {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, opened: HashSet::new() }
    }

    /// Whether the frame is dropped. Frames must come in the order in which they enter the bridge.
    pub(crate) fn denies(&mut self, frame: &[u8]) -> bool {
        match read(frame) {
            Reading::Unreadable => true,
            Reading::Passes => false,
            Reading::Ip(_) if self.policy == Policy::AllowAll => false,
            Reading::Ip(packet) => !packet.is_control() && !packet.to_group() && !self.allows(&packet),
        }
    }

    fn allows(&mut self, packet: &Packet) -> bool {
        if let Some(reverse) = reverse(packet)
            && self.opened.contains(&reverse)
        {
            return true;
        }
        match (zone(&packet.source), zone(&packet.destination)) {
            (Zone::Internal | Zone::Lan, Zone::Internal | Zone::Lan) => true,
            // "to any", stateful.
            (Zone::Internal | Zone::Lan, Zone::None) => {
                self.opened.extend(opener(packet));
                true
            }
            (Zone::None, _) => false,
        }
    }
}

fn zone(address: &[u8]) -> Zone {
    match address {
        [10, 17, _, _] => Zone::Internal,
        [192, 168, 0, _] => Zone::Lan,
        _ => Zone::None,
    }
}

/// The flow that the packet opens; none for a later fragment of a protocol with ports.
fn opener(packet: &Packet) -> Option<Flow> {
    let (from, to) = packet.ports()?;
    Some((packet.source.clone(), packet.destination.clone(), packet.protocol, from, to))
}

/// The flow whose reverse it would be. The generator sends echo requests only, and no ICMP errors.
fn reverse(packet: &Packet) -> Option<Flow> {
    let (from, to) = packet.ports()?;
    if matches!(packet.protocol, 1 | 58) {
        return None;
    }
    Some((packet.destination.clone(), packet.source.clone(), packet.protocol, to, from))
}
