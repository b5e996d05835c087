//! What a bridge is told over OpenFlow to do with frames, and why that is to be left to it. Bytes in, words out; pure.
//!
//! Nothing of this is in OVSDB, and a restart of ovs-vswitchd forgets it. What changes nothing for a frame that the programs could forward:
//! * port `down`: that is the interface's own IFF_UP (ofproto/ofproto.c `update_port_config`), which netlink shows;
//! * port `no-stp`, `no-receive-stp`: frames to STP's reserved group only. `no-packet-in`: a controller's business;
//! * fragments `nx-match`: for flows that match ports. `NORMAL` matches none.

use std::collections::BTreeMap;

use super::OpenFlowError;
use super::message::{HEADER, STATS_REQUEST, message};

/// OpenFlow Switch Specification 1.0.0, 5.3.2.
const CONFIG_REQUEST: u8 = 7;
pub(super) const CONFIG_REPLY: u8 = 8;
/// OFPC_FRAG_MASK, OFPC_FRAG_DROP.
const FRAGMENTS: u8 = 3;
const DROP: u8 = 1;

/// OFPST_PORT_DESC is of OpenFlow 1.3, and Open vSwitch answers it in 1.0 as well (include/openvswitch/ofp-msgs.h). The FEATURES_REPLY
/// of 1.0 breaks off after 64 KiB, some 1,360 ports.
const PORT_DESC: u16 = 13;
/// From the message's start to the first ofp_phy_port, and that one's length.
const PORTS_AT: usize = HEADER + 4;
const PORT: usize = 48;

/// ofp_port_config (5.2.1), and what is said of it. `no-flood`: a station that the file binds to a port stays known when the bridge forgets it, and
/// the bridge would flood for it, not to its port.
const PORT_REASONS: [(u32, &str); 3] = [
    (1 << 2, "Open vSwitch takes no frames from the port (OpenFlow: no-receive)"),
    (1 << 4, "Open vSwitch floods nothing to the port (OpenFlow: no-flood)"),
    (1 << 5, "Open vSwitch sends no frames to the port (OpenFlow: no-forward)"),
];
const OBEYED: u32 = 1 << 2 | 1 << 4 | 1 << 5;

/// What one bridge is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// It has exactly one flow: in table 0, priority 0, matching everything, `actions=NORMAL`.
    pub only_normal: bool,
    /// It drops IP fragments.
    pub drops_fragments: bool,
    /// By OpenFlow port number, those of ofp_port_config that matter; ports without any are left out.
    ports: BTreeMap<u16, u32>,
}

impl Orders {
    /// Why the whole of this bridge must be left to Open vSwitch, in words.
    pub fn of_bridge(&self, bridge: &str) -> impl Iterator<Item = String> {
        let flows = || format!("the bridge has other flows than one NORMAL flow (ovs-ofctl dump-flows {bridge})");
        let fragments = || format!("the bridge drops IP fragments (ovs-ofctl get-frags {bridge})");
        [(!self.only_normal).then(flows), self.drops_fragments.then(fragments)].into_iter().flatten()
    }

    /// Why the port with this OpenFlow number must be, in words.
    pub fn of_port(&self, ofport: u16) -> impl Iterator<Item = String> {
        let config = self.ports.get(&ofport).copied().unwrap_or_default();
        PORT_REASONS.iter().filter(move |(bit, _)| config & bit != 0).map(|(_, why)| (*why).to_owned())
    }
}

pub(super) fn config_request(xid: u32) -> Vec<u8> {
    message(CONFIG_REQUEST, xid, &[])
}

pub(super) fn ports_request(xid: u32) -> Vec<u8> {
    let [kind, flags] = [PORT_DESC, 0].map(u16::to_be_bytes);
    message(STATS_REQUEST, xid, &[kind, flags].concat())
}

/// Reads a whole answer to [`config_request`].
pub(super) fn config(reply: &[u8], orders: &mut Orders) -> Result<(), OpenFlowError> {
    let flags = reply.get(HEADER + 1).ok_or(OpenFlowError::Garbage("a configuration that breaks off"))?;
    orders.drops_fragments = flags & FRAGMENTS == DROP;
    Ok(())
}

/// Reads one whole answer to [`ports_request`]; whether another one follows.
pub(super) fn ports(reply: &[u8], orders: &mut Orders) -> Result<bool, OpenFlowError> {
    let wrong = OpenFlowError::Garbage("a reply about ports that breaks off or is of another kind");
    let Some((head, rest)) = reply.split_at_checked(PORTS_AT) else { return Err(wrong) };
    let (ports, cut) = rest.as_chunks::<PORT>();
    if head[HEADER..HEADER + 2] != PORT_DESC.to_be_bytes() || !cut.is_empty() {
        return Err(wrong);
    }
    for port in ports {
        let config = u32::from_be_bytes([port[24], port[25], port[26], port[27]]) & OBEYED;
        if config != 0 {
            orders.ports.insert(u16::from_be_bytes([port[0], port[1]]), config);
        }
    }
    Ok(head[HEADER + 3] & 1 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::message::STATS_REPLY;
    use super::*;

    fn reply(more: u8, ports: &[(u16, u32)]) -> Vec<u8> {
        let mut body = vec![0, 13, 0, more];
        for (number, config) in ports {
            let mut port = [0xff; PORT];
            port[..2].copy_from_slice(&number.to_be_bytes());
            port[24..28].copy_from_slice(&config.to_be_bytes());
            body.extend(port);
        }
        message(STATS_REPLY, 1, &body)
    }

    fn said(orders: &Orders, ofport: u16) -> String {
        orders.of_port(ofport).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn of_a_ports_configuration_only_what_normal_obeys_is_a_reason() {
        let mut orders = Orders::default();
        // Down, no-stp, no-receive-stp, no-packet-in.
        let harmless = 1 | 1 << 1 | 1 << 3 | 1 << 6;
        assert!(ports(&reply(1, &[(1, harmless), (2, 1 << 2), (3, harmless | 1 << 4)]), &mut orders).unwrap());
        assert!(!ports(&reply(0, &[(300, 1 << 5), (0xfffe, u32::MAX)]), &mut orders).unwrap());
        assert_eq!(said(&orders, 1), "");
        assert!(said(&orders, 2).contains("no-receive") && said(&orders, 3).contains("no-flood"));
        assert!(said(&orders, 300).contains("no-forward"));
        assert_eq!(said(&orders, 0xfffe).matches("OpenFlow").count(), 3);
    }

    #[test]
    fn fragments_matter_only_if_they_are_dropped() {
        let mut orders = Orders { only_normal: true, ..Orders::default() };
        for (flags, reasons) in [(0, 0), (1, 1), (3, 0), (1 | 4, 1), (4, 0)] {
            config(&message(CONFIG_REPLY, 1, &[0, flags, 0, 128]), &mut orders).unwrap();
            assert_eq!(orders.of_bridge("br0").count(), reasons, "{flags}");
        }
        assert!(config(&message(CONFIG_REPLY, 1, &[0]), &mut orders).is_err());
    }

    #[test]
    fn every_cut_of_a_reply_is_an_error_or_fewer_ports() {
        let whole = reply(0, &[(1, 1 << 2), (2, 1 << 2)]);
        for cut in 0..whole.len() {
            let told = ports(&whole[..cut], &mut Orders::default());
            assert_eq!(told.is_ok(), cut >= PORTS_AT && (cut - PORTS_AT).is_multiple_of(PORT), "{cut}");
        }
        let flows = message(STATS_REPLY, 1, &[0xff, 0xff, 0, 0]);
        assert!(ports(&flows, &mut Orders::default()).is_err(), "another kind");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut orders = Orders::default();
            let _ = ports(&bytes, &mut orders).is_ok() | config(&bytes, &mut orders).is_ok();
        }
    }
}
