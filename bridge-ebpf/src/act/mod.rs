//! What a verdict to forward does to the frame, one file for each kind of program. Must not: decide, count.

pub mod tc;
pub mod xdp;

/// TPID of an 802.1Q tag.
const CUSTOMER_TAG: u16 = 0x8100;
