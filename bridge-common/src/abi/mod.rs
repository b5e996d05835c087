//! The binary interface between the kernel programs and user space.
//!
//! Everything here exists once: map names, capacities, key and value layouts, reasons and their numbers. Values are
//! `repr(C)`, integers and byte arrays with explicit padding, host byte order unless a field says otherwise.
//! Must not: decide, parse, allocate.

pub mod control;
pub mod counters;
pub mod flow;
pub mod maps;
pub mod policy;
pub mod port;
pub mod reason;
pub mod station;

pub use control::*;
pub use counters::*;
pub use flow::*;
pub use policy::*;
pub use port::*;
pub use reason::*;
pub use station::*;

/// Sizes of every shared layout. It goes into the ABI id, so that a manager never takes over maps of another shape.
pub const LAYOUT: [usize; 17] = [
    LAYOUT_VERSION,
    size_of::<Port>(),
    size_of::<VlanSet>(),
    size_of::<StationKey>(),
    size_of::<Station>(),
    size_of::<GuardKey>(),
    size_of::<FlowKey>(),
    size_of::<Flow>(),
    size_of::<Pair>(),
    size_of::<L4Data>(),
    size_of::<PortCounters>(),
    size_of::<Cell>(),
    size_of::<Usage>(),
    size_of::<Zoneless>(),
    size_of::<crate::decide::Memo>(),
    size_of::<Zoned>(),
    control::SLOTS as usize,
];

/// Names of the programs: XDP ingress, TC ingress, TC egress, and what looks for tags behind XDP. What bears one of them is ours.
pub const PROGRAMS: [&str; 4] = ["fastbridge_xdp", "fastbridge_in", "fastbridge_out", "fastbridge_watch"];

/// Raised by hand when a field changes its meaning but not its size, or a map its type.
const LAYOUT_VERSION: usize = 5;

/// A map key or value: `repr(C)`, no padding, every bit pattern valid.
///
/// # Safety
/// Exactly that.
pub unsafe trait Plain: Copy + 'static {}

macro_rules! plain {
    ($($name:ty),* $(,)?) => { $(
        // SAFETY: integers and byte arrays with explicit padding, see the size assertion beside each definition.
        unsafe impl Plain for $name {}
    )* };
}

plain!(Zoneless, Port, VlanSet, StationKey, Station, GuardKey, FlowKey, Flow, Pair, L4Data, PortCounters, Cell, Usage);
