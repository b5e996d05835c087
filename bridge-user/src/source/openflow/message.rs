//! The few OpenFlow 1.0 messages that are needed, as bytes. Pure; multi-byte fields are big-endian (OpenFlow Switch Specification 1.0.0, 5).

use bridge_common::abi::REFRESH_ETHERTYPE;

use super::OpenFlowError;

/// Wire version 1.0.
pub(super) const VERSION: u8 = 1;
/// Length of every message's header.
pub(super) const HEADER: usize = 8;

pub(super) const HELLO: u8 = 0;
pub(super) const ERROR: u8 = 1;
pub(super) const ECHO_REQUEST: u8 = 2;
pub(super) const ECHO_REPLY: u8 = 3;
pub(super) const STATS_REPLY: u8 = 17;
pub(super) const BARRIER_REQUEST: u8 = 18;
pub(super) const BARRIER_REPLY: u8 = 19;
const PACKET_OUT: u8 = 13;
pub(super) const STATS_REQUEST: u8 = 16;

/// IEEE 802.1Q, 9.6.
const TPID: u16 = 0x8100;
const VID: u16 = 0x0fff;

const OFPP_NORMAL: u16 = 0xfffa;
const OFPP_NONE: u16 = 0xffff;
const OFPST_VENDOR: u16 = 0xffff;
const NX_VENDOR_ID: u32 = 0x2320;
const NXST_FLOW: u32 = 0;
const ALL_TABLES: u8 = 0xff;
/// From the message's start to the first flow: header, ofp_stats_reply, nicira10_stats_msg (vendor, subtype, padding).
const FLOWS_AT: usize = HEADER + 4 + 12;
/// Length of nx_flow_stats without match and actions (openvswitch's include/openflow/nicira-ext.h).
const FLOW: usize = 48;

/// A header and what follows it.
pub(super) fn message(kind: u8, xid: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![VERSION, kind];
    bytes.extend_from_slice(&((HEADER + body.len()) as u16).to_be_bytes());
    bytes.extend_from_slice(&xid.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// (version, type, length of the whole message, xid). Fails on a length shorter than a header.
pub(super) fn header(bytes: [u8; HEADER]) -> Result<(u8, u8, usize, u32), OpenFlowError> {
    let [version, kind, l0, l1, x0, x1, x2, x3] = bytes;
    let length = u16::from_be_bytes([l0, l1]) as usize;
    if length < HEADER {
        return Err(OpenFlowError::Garbage("a message shorter than its header"));
    }
    Ok((version, kind, length, u32::from_be_bytes([x0, x1, x2, x3])))
}

/// Whether the sender of this HELLO (a whole message) accepts version 1.0. OpenFlow 1.3.1, 7.5.1: a bitmap of versions may be in it (element type 1);
/// without one every version up to the header's is meant.
pub(super) fn accepts_version_1(hello: &[u8]) -> bool {
    let mut rest = hello.get(HEADER..).unwrap_or_default();
    while let [0, kind, l0, l1, element @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if let (1, [_, _, _, versions, ..]) = (kind, element) {
            return versions & 1 << VERSION != 0;
        }
        // Elements are padded to 8 bytes.
        rest = rest.get(length.max(4).next_multiple_of(8)..).unwrap_or_default();
    }
    true
}

/// A station to be shown to the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// OpenFlow port number.
    pub ofport: u16,
    /// The station's MAC.
    pub mac: [u8; 6],
    /// Its VLAN, where its port takes frames of it with a tag.
    pub tag: Option<u16>,
}

/// Says the least that a station can say: from and to its own MAC, an ethertype of ours, padded to 60 bytes and a tag.
fn refresh_frame(refresh: Refresh) -> Vec<u8> {
    let mut frame = [refresh.mac, refresh.mac].concat();
    if let Some(vid) = refresh.tag {
        frame.extend_from_slice(&[TPID, vid & VID].map(u16::to_be_bytes).concat());
    }
    frame.extend_from_slice(&REFRESH_ETHERTYPE.to_be_bytes());
    frame.resize(if refresh.tag.is_some() { 64 } else { 60 }, 0);
    frame
}

/// PACKET_OUT of the refresh frame as if it came in at the station's port, `actions=NORMAL`.
pub(super) fn packet_out(xid: u32, refresh: Refresh) -> Vec<u8> {
    let mut body = vec![0xff; 4]; // buffer_id: none
    body.extend_from_slice(&refresh.ofport.to_be_bytes());
    body.extend_from_slice(&8_u16.to_be_bytes()); // actions_len
    body.extend_from_slice(&[0, 0, 0, 8]); // OFPAT_OUTPUT, length
    body.extend_from_slice(&OFPP_NORMAL.to_be_bytes());
    body.extend_from_slice(&[0, 0]); // max_len
    body.extend_from_slice(&refresh_frame(refresh));
    message(PACKET_OUT, xid, &body)
}

/// Every flow of every table, in the form that shows each match whole: OpenFlow 1.0's own OFPST_FLOW leaves out fields that it has no room for
/// (metadata, registers, IPv6), so that a flow restricted by one of them would look like one that matches everything.
pub(super) fn flows_request(xid: u32) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&OFPST_VENDOR.to_be_bytes());
    body.extend_from_slice(&[0, 0]); // flags
    body.extend_from_slice(&NX_VENDOR_ID.to_be_bytes());
    body.extend_from_slice(&NXST_FLOW.to_be_bytes());
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(&OFPP_NONE.to_be_bytes()); // out_port: any
    body.extend_from_slice(&[0, 0]); // match_len: everything
    body.extend_from_slice(&[ALL_TABLES, 0, 0, 0]);
    message(STATS_REQUEST, xid, &body)
}

/// What one reply to [`flows_request`] adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flows {
    /// Flows in it.
    pub(super) all: usize,
    /// Those of table 0 and priority 0 that match everything and do NORMAL, nothing else.
    pub(super) normal: usize,
    /// Another reply follows.
    pub(super) more: bool,
}

/// Reads a whole STATS_REPLY message, header included.
pub(super) fn flows(reply: &[u8]) -> Result<Flows, OpenFlowError> {
    let wrong = OpenFlowError::Garbage("a reply about flows that breaks off or is of another kind");
    let (family, vendor) = (OFPST_VENDOR.to_be_bytes(), [NX_VENDOR_ID.to_be_bytes(), NXST_FLOW.to_be_bytes()].concat());
    if reply.len() < FLOWS_AT || reply[8..10] != family || reply[12..20] != vendor {
        return Err(wrong);
    }
    let mut flows = Flows { more: reply[11] & 1 != 0, ..Flows::default() };
    let mut rest = &reply[FLOWS_AT..];
    while !rest.is_empty() {
        let length = rest.get(..2).map_or(0, |l| usize::from(u16::from_be_bytes([l[0], l[1]])));
        let Some((flow, after)) = rest.split_at_checked(length).filter(|(flow, _)| flow.len() >= FLOW) else {
            return Err(wrong);
        };
        flows.all += 1;
        flows.normal += usize::from(is_normal(flow));
        rest = after;
    }
    Ok(flows)
}

/// `flow` has at least [`FLOW`] bytes.
fn is_normal(flow: &[u8]) -> bool {
    let (priority, match_len) = (&flow[12..14], &flow[18..20]);
    let output_normal = |actions: &[u8]| {
        actions.len() == 8 && actions[..4] == [0, 0, 0, 8] && actions[4..6] == OFPP_NORMAL.to_be_bytes()
    };
    // Frames enter at table 0: a flow of another one alone is a bridge that drops everything.
    flow[2] == 0 && priority == [0, 0] && match_len == [0, 0] && output_normal(&flow[FLOW..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// One flow.
    fn flow(priority: u16, match_len: u16, actions: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; FLOW];
        bytes[12..14].copy_from_slice(&priority.to_be_bytes());
        bytes[18..20].copy_from_slice(&match_len.to_be_bytes());
        bytes.resize(FLOW + usize::from(match_len).next_multiple_of(8), 0);
        bytes.extend_from_slice(actions);
        let length = bytes.len() as u16;
        bytes[..2].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    fn reply(more: u8, flows: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![0xff, 0xff, 0, more, 0, 0, 0x23, 0x20, 0, 0, 0, 0, 0, 0, 0, 0];
        body.extend(flows.concat());
        message(STATS_REPLY, 1, &body)
    }

    const NORMAL: [u8; 8] = [0, 0, 0, 8, 0xff, 0xfa, 0, 0];

    #[test]
    fn a_refresh_is_the_stations_own_minimal_frame() {
        let refresh = Refresh { ofport: 3, mac: [2, 0, 0, 0, 0, 1], tag: None };
        let bytes = packet_out(7, refresh);
        assert_eq!(bytes.len(), 8 + 8 + 8 + 60);
        assert_eq!(bytes[..8], [1, 13, 0, 84, 0, 0, 0, 7]);
        assert_eq!(bytes[8..24], [0xff, 0xff, 0xff, 0xff, 0, 3, 0, 8, 0, 0, 0, 8, 0xff, 0xfa, 0, 0]);
        assert_eq!(bytes[24..38], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x88, 0xb6]);
        let tagged = packet_out(7, Refresh { tag: Some(10), ..refresh });
        assert_eq!(tagged[2..4], 88_u16.to_be_bytes());
        assert_eq!(tagged[24..42], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 10, 0x88, 0xb6]);
    }

    #[test]
    fn only_the_default_flow_is_normal() {
        let drop = flow(0, 0, &[]);
        let flood = flow(0, 0, &[0, 0, 0, 8, 0xff, 0xfb, 0, 0]);
        let twice = flow(0, 0, &[NORMAL, NORMAL].concat());
        for (one, normal) in [
            (flow(0, 0, &NORMAL), 1),
            (flow(1, 0, &NORMAL), 0),
            (flow(0, 6, &NORMAL), 0),
            (drop, 0),
            (flood, 0),
            (twice, 0),
        ] {
            assert_eq!(flows(&reply(0, &[one])).unwrap(), Flows { all: 1, normal, more: false });
        }
        let both = flows(&reply(1, &[flow(0, 0, &NORMAL), flow(5, 0, &NORMAL)])).unwrap();
        assert_eq!(both, Flows { all: 2, normal: 1, more: true });
    }

    #[test]
    fn every_cut_of_a_reply_is_an_error_or_fewer_flows() {
        let whole = reply(0, &[flow(0, 0, &NORMAL), flow(0, 0, &NORMAL)]);
        for cut in 0..whole.len() {
            if let Ok(found) = flows(&whole[..cut]) {
                assert!(cut == FLOWS_AT || cut == FLOWS_AT + FLOW + 8, "{cut}: {found:?}");
            }
        }
        let mut zero_length = reply(0, &[flow(0, 0, &NORMAL)]);
        zero_length[FLOWS_AT + 1] = 0;
        assert!(flows(&zero_length).is_err());
        assert!(header([1, 0, 0, 7, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_hello_without_version_1_is_told_by_its_bitmap() {
        let hello = |elements: &[u8]| accepts_version_1(&message(HELLO, 1, elements));
        assert!(hello(&[]) && hello(&[0, 1, 0, 8, 0, 0, 0, 0x12]));
        assert!(!hello(&[0, 1, 0, 8, 0, 0, 0, 0x10]));
        assert!(!hello(&[0, 7, 0, 5, 1, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0x10]), "behind an unknown element");
        assert!(hello(&[0, 7, 0, 0]) && hello(&[0, 1, 0, 8, 0]) && hello(&[0, 7, 0xff, 0xff]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), as_reply in any::<bool>()) {
            accepts_version_1(&bytes);
            let bytes = if as_reply { reply(0, &[bytes]) } else { bytes };
            let _ = flows(&bytes);
        }
    }
}
