//! Sentinels: frames that tell, by their arrival, that all sent before them has arrived. ARP probes (RFC 5227: sender 0.0.0.0, so that they
//! pass every guard that knows the port's own MAC) for 203.0.113.254, in as many VLANs as it takes for every port to hear from every port
//! that shares a VLAN with it.

use std::collections::BTreeSet;

use crate::Mac;
use crate::frame::{Arp, BROADCAST, Eth, ethertype, pad};
use crate::lab::Tagging;

/// Marks a sentinel, in the padding behind its ARP body.
const MAGIC: &[u8; 6] = b"fbsync";
const MAGIC_AT: usize = 14 + 28;
const TAG: usize = 4;

/// The sentinels of one round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// Port to send from, and the VID to send with.
    pub(super) senders: Vec<(usize, Option<u16>)>,
    /// How many come out of each port.
    pub(super) expected: Vec<usize>,
}

impl Round {
    /// For ports that treat tags so, those left out that are down.
    pub(super) fn plan(ports: &[Tagging], down: &BTreeSet<usize>) -> Self {
        let mut round = Self { senders: Vec::new(), expected: vec![0; ports.len()] };
        for from in (0..ports.len()).filter(|at| !down.contains(at)) {
            let mut unheard: BTreeSet<usize> =
                (0..ports.len()).filter(|at| *at != from && !down.contains(at)).collect();
            while let Some((tag, heard)) = widest(ports, from, &unheard) {
                round.senders.push((from, tag));
                // It also comes out where an earlier one was heard.
                for at in reached(ports, from, tag).filter(|at| !down.contains(at)) {
                    round.expected[at] += 1;
                }
                unheard.retain(|at| !heard.contains(at));
            }
        }
        round
    }
}

/// The tag with which a sentinel reaches most of those that have heard nothing yet.
fn widest(ports: &[Tagging], from: usize, unheard: &BTreeSet<usize>) -> Option<(Option<u16>, BTreeSet<usize>)> {
    // A trunk carries thousands of VLANs: those worth trying are its first few, and what the ports it shall reach carry first.
    let tags = [None].into_iter().chain(ports.iter().flat_map(Tagging::examples).map(Some).collect::<BTreeSet<_>>());
    let heard =
        tags.map(|tag| (tag, reached(ports, from, tag).filter(|at| unheard.contains(at)).collect::<BTreeSet<_>>()));
    heard.filter(|(_, heard)| !heard.is_empty()).max_by_key(|(tag, heard)| (heard.len(), tag.is_none()))
}

fn reached(ports: &[Tagging], from: usize, tag: Option<u16>) -> impl Iterator<Item = usize> {
    let vlan = ports[from].vlan_of(&frame([0; 6], tag, 0, from));
    let reached = move |(at, port): (usize, &Tagging)| (at != from && port.carries(vlan?)).then_some(at);
    ports.iter().enumerate().filter_map(reached)
}

/// One sentinel.
pub(super) fn frame(mac: Mac, vid: Option<u16>, round: u32, port: usize) -> Vec<u8> {
    let eth = Eth::new(BROADCAST, mac);
    let eth = if let Some(vid) = vid { eth.vlan(vid) } else { eth };
    let mut frame = eth.arp(&Arp::request(mac, [0; 4], [203, 0, 113, 254]));
    frame.extend(MAGIC);
    frame.extend(round.to_be_bytes());
    frame.push(port as u8);
    pad(frame, 60)
}

/// The round, if this is a sentinel.
pub(super) fn round_of(frame: &[u8]) -> Option<u32> {
    let tag = if frame.get(12..14)? == ethertype::VLAN.to_be_bytes() { TAG } else { 0 };
    let rest = frame.get(MAGIC_AT + tag..)?.strip_prefix(MAGIC)?;
    Some(u32::from_be_bytes(rest.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{PortVlan, SlowPath};

    fn plan(ports: &[PortVlan], down: &[usize]) -> Round {
        let ports: Vec<_> = ports.iter().map(|vlan| Tagging::of(SlowPath::OvsUserspace, Some(vlan))).collect();
        Round::plan(&ports, &down.iter().copied().collect())
    }

    #[test]
    fn a_sentinel_is_recognized_and_nothing_else() {
        for vid in [None, Some(5)] {
            let frame = frame([2, 0, 0, 0, 0, 1], vid, 7, 3);
            assert_eq!((frame.len() >= 60, round_of(&frame)), (true, Some(7)));
            assert_eq!(round_of(&frame[..48]), None);
        }
        assert_eq!(round_of(&[0; 60]), None);
    }

    #[test]
    fn one_each_is_enough_without_vlans() {
        let round = plan(&[PortVlan::Trunk(vec![]), PortVlan::Trunk(vec![]), PortVlan::Trunk(vec![])], &[]);
        assert_eq!(round, Round { senders: vec![(0, None), (1, None), (2, None)], expected: vec![2, 2, 2] });
        let trunks = [PortVlan::Trunk(vec![]), PortVlan::Trunk(vec![]), PortVlan::Trunk(vec![])];
        assert_eq!(plan(&trunks, &[1]), Round { senders: vec![(0, None), (2, None)], expected: vec![1, 0, 1] });
    }

    #[test]
    fn every_pair_with_a_vlan_in_common_is_covered() {
        let round = plan(&[PortVlan::Access(5), PortVlan::Access(6), PortVlan::Trunk(vec![5, 6])], &[]);
        assert_eq!(round.senders, [(0, None), (1, None), (2, Some(6)), (2, Some(5))]);
        assert_eq!(round.expected, [1, 1, 2]);
    }
}
