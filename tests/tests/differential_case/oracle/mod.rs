//! What the policy's words (the design page, section 2) say of a frame: is it dropped? Written from the words over the bytes of the
//! frame, so it must not share code with `bridge-common`. Knows what the generator makes, no more: no host addresses, no guard.

mod packet;

use std::collections::HashMap;

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
    /// With the number of the frame that used each last.
    opened: HashMap<Flow, usize>,
    frames: usize,
}

/// A flow that was last used within so many frames is open, however slow the machine: of 20,000 an emulated one takes some hundred a second, and
/// a closing TCP flow lives for 120 s.
const LIVES: usize = 4000;

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
        Self { policy, opened: HashMap::new(), frames: 0 }
    }

    /// Whether the frame is dropped. Frames must come in the order in which they enter the bridge.
    pub(crate) fn denies(&mut self, frame: &[u8]) -> bool {
        self.frames += 1;
        match read(frame) {
            Reading::Unreadable => true,
            Reading::Passes => false,
            Reading::Ip(_) if self.policy == Policy::AllowAll => false,
            Reading::Ip(packet) => !packet.is_control() && !packet.to_group() && !self.allows(&packet),
        }
    }

    /// Whether what becomes of the frame depends on how much time has passed since the one that opened its flow. To be asked as
    /// [`Oracle::denies`] is, of every frame, and by another oracle than that.
    pub(crate) fn depends_on_time(&mut self, frame: &[u8]) -> bool {
        let opened = match read(frame) {
            Reading::Ip(packet) => reverse(&packet).and_then(|reverse| self.opened.get(&reverse)).copied(),
            _ => None,
        };
        let old = opened.is_some_and(|number| number + LIVES < self.frames);
        if !old {
            self.denies(frame);
        }
        old
    }

    fn allows(&mut self, packet: &Packet) -> bool {
        if let Some(reverse) = reverse(packet)
            && let Some(used) = self.opened.get_mut(&reverse)
        {
            *used = self.frames;
            return true;
        }
        match (zone(&packet.source), zone(&packet.destination)) {
            (Zone::Internal | Zone::Lan, Zone::Internal | Zone::Lan) => true,
            // "to any", stateful.
            (Zone::Internal | Zone::Lan, Zone::None) => {
                self.opened.extend(opener(packet).map(|flow| (flow, self.frames)));
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
