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

/// Frames of one turn: the kernel's set-up of each call costs, 2^18 is the least that hides it. No more, and many rounds rather: on a shared machine
/// what a core gives changes from one tenth of a second to the next.
const FRAMES: u32 = 1 << 18;
