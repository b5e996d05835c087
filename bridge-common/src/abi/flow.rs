//! Flows of stateful rules.

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

impl Flow {
    /// How long this flow lives without a frame, in nanoseconds (design section 2): TCP 24 h, closing 120 s, UDP and
    /// others 180 s, ICMP 30 s.
    #[inline(always)]
    pub const fn idle_ns(&self, proto: u8) -> u64 {
        let closing = self.state & FLOW_RESET != 0
            || self.state & (FLOW_FIN_OPENER | FLOW_FIN_REPLY) == FLOW_FIN_OPENER | FLOW_FIN_REPLY;
        match proto {
            6 if closing => 120 * SECOND,
            6 => 24 * 3600 * SECOND,
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
