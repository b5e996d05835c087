//! The tags of generated frames: mostly those which put a frame into its station's VLAN, and everything else that a tag can be.

use fastrand::Rng;

use crate::frame::{Eth, ethertype};
use crate::lab::Tagging;

/// Drop eligible indicator, and priorities, in the TCI.
const DEI: u16 = 0x1000;
const fn pcp(priority: u16) -> u16 {
    priority << 13
}

/// Outside every list that a topology names, and the one that is no VLAN's.
const OUTSIDE: [u16; 4] = [7, 99, 4094, 4095];

/// Where no port has a VLAN: one frame in ten has a tag.
pub(super) fn anywhere(rng: &mut Rng, eth: Eth) -> Eth {
    let tci = [0, 5, 5 | pcp(7), 6, 4094, 4095, pcp(5), 5 | DEI][rng.usize(..8)];
    match rng.u32(..100) {
        0..6 => eth.tag(ethertype::VLAN, tci),
        6 => eth.tag(ethertype::QINQ, tci),
        7 => eth.tag(ethertype::QINQ, tci).tag(ethertype::VLAN, 7),
        8 => eth.tag(ethertype::VLAN, tci).tag(ethertype::VLAN, 7),
        _ => eth,
    }
}

/// For a station in a VLAN, behind a port that treats tags so; `others` are the topology's VLANs.
pub(super) fn within(rng: &mut Rng, eth: Eth, port: &Tagging, vlan: u16, others: &[u16]) -> Eth {
    match rng.u32(..100) {
        0..82 => right(rng, eth, port, vlan),
        82..84 => eth.tag(ethertype::VLAN, [0, DEI][rng.usize(..2)]),
        84..86 => eth.tag(ethertype::VLAN, pcp(rng.u16(1..8))),
        86..88 => eth.tag(ethertype::VLAN, vlan | DEI | pcp(rng.u16(..8))),
        88..91 => eth.tag(ethertype::VLAN, others[rng.usize(..others.len())]),
        91..94 => eth.tag(ethertype::VLAN, OUTSIDE[rng.usize(..4)]),
        94 => eth.tag(ethertype::QINQ, vlan),
        95 => eth.tag(ethertype::QINQ, [0, OUTSIDE[rng.usize(..4)]][rng.usize(..2)]),
        96 => eth.tag(ethertype::QINQ, vlan).tag(ethertype::VLAN, 7),
        97 => eth.tag(ethertype::VLAN, vlan).tag(ethertype::VLAN, vlan),
        _ => eth,
    }
}

/// What puts a frame into the VLAN; one tag in four has a priority.
fn right(rng: &mut Rng, eth: Eth, port: &Tagging, vlan: u16) -> Eth {
    let tags = port.tags_for(vlan);
    match tags.get(rng.usize(..tags.len().max(1))) {
        Some(Some(vid)) if rng.u32(..4) == 0 => eth.tag(ethertype::VLAN, vid | pcp(rng.u16(1..8))),
        Some(Some(vid)) => eth.tag(ethertype::VLAN, *vid),
        _ => eth,
    }
}
