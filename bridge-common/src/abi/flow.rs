//! Flows of stateful rules.

use super::maps::FLOWED_CELLS;

/// A flow, in the opener's direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Opener's address, IPv4 in the first four bytes and zeros after, wire order.
    pub src: [u8; 16],
    /// The other's address.
    pub dst: [u8; 16],
    /// Source port; ICMP: the identifier. Host byte order.
    pub sport: u16,
    /// Destination port; ICMP: the request's type. Host byte order.
    pub dport: u16,
    /// IP protocol number.
    pub proto: u8,
    /// 4 or 6.
    pub family: u8,
    /// Always 0.
    pub pad: u16,
}
const _: () = assert!(size_of::<FlowKey>() == 40);

/// What a flow remembers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flow {
    /// CLOCK_MONOTONIC_COARSE, nanoseconds, of its last frame.
    pub seen_ns: u64,
    /// Policy generation that judged the opener.
    pub generation: u32,
    /// Rule slot under which it counts.
    pub rule: u16,
    /// Port slot whose quota it uses.
    pub port: u16,
    /// `FLOW_*` bits.
    pub state: u32,
    /// Always 0.
    pub pad: u32,
}
const _: () = assert!(size_of::<Flow>() == 24);

/// The opener sent FIN.
pub const FLOW_FIN_OPENER: u32 = 1;
/// The other side sent FIN.
pub const FLOW_FIN_REPLY: u32 = 2;
/// Either side sent RST.
pub const FLOW_RESET: u32 = 4;

const SECOND: u64 = 1_000_000_000;
const CELL_BITS: u32 = FLOWED_CELLS.trailing_zeros() - 1;
const TCP: u8 = 6;

/// A cell of the map `FLOWED`: the flows of one transport protocol that one IPv4 address opens to another, and of others that share the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowedCell {
    /// Index in the map. TCP has a half of its own, so that every flow of a cell lives equally long.
    pub index: u32,
    proto: u8,
}

impl FlowedCell {
    /// `addresses`: the opener's and the other's, as they lie in memory one behind the other.
    #[inline(always)]
    pub const fn of(addresses: u64, proto: u8) -> Self {
        let hash = (addresses.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - CELL_BITS)) as u32;
        Self { index: if proto == TCP { hash | 1 << CELL_BITS } else { hash }, proto }
    }

    /// Of these flows, in the opener's direction; only of IPv4's.
    #[inline(always)]
    pub const fn of_flow(key: &FlowKey) -> Option<Self> {
        if key.family != 4 {
            return None;
        }
        let ([a, b, c, d, ..], [e, f, g, h, ..]) = (key.src, key.dst);
        Some(Self::of(u64::from_ne_bytes([a, b, c, d, e, f, g, h]), key.proto))
    }

    /// What the cell holds from `now_ns` (CLOCK_MONOTONIC_COARSE) on, if a flow of it is opened or renewed: seconds; never 0.
    #[inline(always)]
    pub const fn note(now_ns: u64) -> u32 {
        (now_ns / SECOND) as u32 + 1
    }

    /// Whether a flow may live at `now_ns` in a cell that holds `noted`.
    #[inline(always)]
    pub const fn may_live(self, noted: u32, now_ns: u64) -> bool {
        // The longest that a flow of the protocol lives, the second that notes are cut down to, and one for CPUs that write at once.
        let longest = Flow::IDLE.idle_ns(self.proto) / SECOND + 2;
        noted != 0 && Self::note(now_ns).saturating_sub(noted) as u64 <= longest
    }
}

impl Flow {
    /// One that neither side has ended.
    const IDLE: Self = Self { seen_ns: 0, generation: 0, rule: 0, port: 0, state: 0, pad: 0 };

    /// How long this flow lives without a frame, in nanoseconds (design section 2): TCP 24 h, closing 120 s, UDP and
    /// others 180 s, ICMP 30 s.
    #[inline(always)]
    pub const fn idle_ns(&self, proto: u8) -> u64 {
        let closing = self.state & FLOW_RESET != 0
            || self.state & (FLOW_FIN_OPENER | FLOW_FIN_REPLY) == FLOW_FIN_OPENER | FLOW_FIN_REPLY;
        match proto {
            TCP if closing => 120 * SECOND,
            TCP => 24 * 3600 * SECOND,
            1 | 58 => 30 * SECOND,
            _ => 180 * SECOND,
        }
    }

    /// Whether it still lives at `now`.
    #[inline(always)]
    pub const fn is_live(&self, proto: u8, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.seen_ns) < self.idle_ns(proto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: u64 = u64::from_ne_bytes([10, 17, 4, 21, 192, 168, 1, 1]);

    #[test]
    fn while_a_flow_lives_its_cell_says_so() {
        for proto in [1, 6, 17, 132] {
            let cell = FlowedCell::of(ADDRESSES, proto);
            for seen_ns in [0, 1, SECOND - 1, SECOND, 12_345_678_901_234] {
                let noted = FlowedCell::note(seen_ns);
                let flow = Flow { seen_ns, ..Flow::IDLE };
                let idle = flow.idle_ns(proto);
                for age in [0, 1, SECOND, idle - SECOND, idle - 1] {
                    assert!(flow.is_live(proto, seen_ns + age) && cell.may_live(noted, seen_ns + age), "{proto} {age}");
                }
                assert!(!cell.may_live(0, seen_ns), "nobody has opened one");
            }
        }
        let (tcp, udp) = (FlowedCell::of(ADDRESSES, 6), FlowedCell::of(ADDRESSES, 17));
        assert!(!udp.may_live(1, 183 * SECOND) && tcp.may_live(1, 183 * SECOND) && !tcp.may_live(1, 90_000 * SECOND));
    }

    #[test]
    fn cells_tell_directions_and_protocols_apart_and_lie_in_the_map() {
        let key = |src: [u8; 4], dst: [u8; 4], proto, family| {
            let mut key = FlowKey { proto, family, ..FlowKey::default() };
            key.src[..4].copy_from_slice(&src);
            key.dst[..4].copy_from_slice(&dst);
            key
        };
        let (a, b) = ([10, 17, 4, 21], [192, 168, 1, 1]);
        let index = |key: FlowKey| FlowedCell::of_flow(&key).map(|cell| cell.index);
        let there = index(key(a, b, 17, 4));
        assert_eq!(there, Some(FlowedCell::of(ADDRESSES, 17).index));
        assert_ne!(there, index(key(b, a, 17, 4)));
        assert_ne!(there, index(key(a, b, 6, 4)));
        assert_eq!(index(key(a, b, 17, 6)), None);
        let cells = (0..=u8::MAX).flat_map(|x| (0..=u8::MAX).map(move |y| key([10, 17, 4, x], [192, 168, 1, y], 6, 4)));
        let cells: std::collections::HashSet<_> = cells.filter_map(index).collect();
        assert!(cells.iter().all(|&cell| cell < FLOWED_CELLS));
        // By chance 41427 of 65536.
        assert!(cells.len() > 39_000, "{}", cells.len());
    }
}
