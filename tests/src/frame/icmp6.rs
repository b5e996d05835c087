//! ICMPv6 (RFC 4443), neighbour discovery (RFC 4861) and MLD (RFC 2710).

use super::checksum;
use super::transport::Transport;
use crate::Mac;

/// An ICMPv6 message; its checksum covers the pseudo-header.
#[derive(Debug, Clone)]
pub struct Icmp6 {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Everything behind the checksum.
    pub body: Vec<u8>,
}

impl Icmp6 {
    /// An echo request (reply with `kind: 129`).
    #[must_use]
    pub fn echo(id: u16, sequence: u16, payload: &[u8]) -> Self {
        let body = [&id.to_be_bytes(), &sequence.to_be_bytes(), payload].concat();
        Self { kind: 128, code: 0, body }
    }

    /// A neighbour solicitation with a source link-layer option, if given.
    #[must_use]
    pub fn solicitation(target: [u8; 16], source_mac: Option<Mac>) -> Self {
        let option = source_mac.map(|mac| link_layer_option(1, mac)).unwrap_or_default();
        Self { kind: 135, code: 0, body: [&[0; 4], &target[..], &option].concat() }
    }

    /// A neighbour advertisement (override, solicited) with a target link-layer option, if given.
    #[must_use]
    pub fn advertisement(target: [u8; 16], target_mac: Option<Mac>) -> Self {
        let option = target_mac.map(|mac| link_layer_option(2, mac)).unwrap_or_default();
        Self { kind: 136, code: 0, body: [&[0x60, 0, 0, 0], &target[..], &option].concat() }
    }

    /// A router advertisement without options.
    #[must_use]
    pub fn router_advertisement() -> Self {
        Self { kind: 134, code: 0, body: vec![64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0] }
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(target: [u8; 16], destination: [u8; 16]) -> Self {
        Self { kind: 137, code: 0, body: [&[0; 4], &target[..], &destination].concat() }
    }

    /// An MLDv1 message: 130 query, 131 report, 132 done.
    #[must_use]
    pub fn mld(kind: u8, group: [u8; 16]) -> Self {
        Self { kind, code: 0, body: [&[0; 4], &group[..]].concat() }
    }
}

impl Transport for Icmp6 {
    fn protocol(&self) -> u8 {
        58
    }

    fn bytes(&self, pseudo: impl FnOnce(usize) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = [&[self.kind, self.code, 0, 0], &self.body[..]].concat();
        let sum = checksum(&[&pseudo(bytes.len()), &bytes]);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// An ND option that holds a MAC: 1 source, 2 target.
#[must_use]
pub fn link_layer_option(kind: u8, mac: Mac) -> Vec<u8> {
    [&[kind, 1], &mac[..]].concat()
}

/// The EUI-64 link-local address of a MAC (RFC 4291, appendix A).
#[must_use]
pub fn link_local(mac: Mac) -> [u8; 16] {
    let [a, b, c, d, e, f] = mac;
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]
}
