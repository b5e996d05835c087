//! Packets per second: each path on a pair of ports of its own, all of them always attached, sent through in turns. A frame's whole way runs
//! on the one generating core, and its time is what counts.

mod contest;
pub(crate) mod cost;
mod denied;
pub(crate) mod drops;
mod kind;
mod load;
mod newcomer;
mod ovs;
mod path;
pub(crate) mod policies;
mod reference;
mod site;
pub(crate) mod sizes;
pub(crate) mod userspace;

pub(crate) use self::{ovs::measure as measure_beside_ovs, reference::measure};

use self::kind::Kind;

/// Frames of one turn: the kernel's set-up of each call costs, 2^18 is the least that hides it.
fn frames(kind: Kind, quick: bool) -> u32 {
    match (quick, kind.is_xdp()) {
        (true, _) => 1 << 18,
        (false, true) => 1 << 20,
        (false, false) => 1 << 19,
    }
}
