//! Bulk TCP through a bridge, with fastbridge beside it and without, in turns: one stream and four, offloads on, `hook = "auto"`, and what
//! that costs the host. Between namespaces, and between guests (`--vms`).

mod beside;
mod guests;
mod iperf;
mod turns;
mod veths;

pub(crate) use self::{
    guests::measure as measure_guests,
    veths::{measure, run},
};
