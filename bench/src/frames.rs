//! The frames that are sent.

use bridge_tests::{
    Mac,
    frame::{Eth, Icmp, Ipv4, Udp},
};

use crate::topology::Rules;

/// Ethernet's "64 bytes" include the FCS, which no virtual device carries; ours are counted without it.
const FRAME_LEN: usize = 64;
/// Two stations of the reference installation's cluster.
pub(crate) const FROM: [u8; 4] = [10, 17, 4, 21];
/// The other one.
pub(crate) const TO: [u8; 4] = [10, 17, 4, 22];

/// The source port of datagrams.
pub(crate) const PORT: u16 = 4000;

/// A UDP frame of 64 bytes with correct checksums.
pub(crate) fn udp(source: Mac, destination: Mac, from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    udp_from(PORT, source, destination, from, to)
}

/// The same from another port.
pub(crate) fn udp_from(port: u16, source: Mac, destination: Mac, from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let payload = [0x5a; FRAME_LEN - 14 - 20 - 8];
    Eth::new(destination, source).ipv4(&Ipv4::new(from, to).carry(&Udp::new(port, 5000, &payload)))
}

/// An ICMP echo request of 64 bytes between two stations of a policy.
pub(crate) fn echo(source: Mac, destination: Mac, rules: Rules) -> Vec<u8> {
    let [from, to] = rules.stations();
    let payload = [0x5a; FRAME_LEN - 14 - 20 - 8];
    Eth::new(destination, source).ipv4(&Ipv4::new(from, to).carry(&Icmp::echo(1, 1, &payload)))
}

/// A frame with a tag of 802.1Q in front, if there is to be one.
pub(crate) fn tagged(frame: Vec<u8>, vlan: Option<u16>) -> Vec<u8> {
    let Some(vid) = vlan else { return frame };
    let (macs, rest) = frame.split_at(12);
    [macs, &[0x81, 0x00], &vid.to_be_bytes(), rest].concat()
}

/// In which the frames of a generator differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variety {
    /// All the same.
    None,
    /// So many UDP source ports.
    Flows(u32),
    /// So many source stations: MAC and address.
    Stations(u32),
}

/// The sums of the IPv4 header's and of UDP's checksum without the word that differs, to which the generator adds its own
/// (RFC 1624, eqn. 3).
pub(crate) fn sums(frame: &[u8], variety: Variety) -> [u32; 2] {
    let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let differs = if matches!(variety, Variety::Stations(_)) { 28 } else { 34 };
    [24, 40].map(|checksum| u32::from(fold(u32::from(!word(checksum)) + u32::from(!word(differs)))))
}

fn fold(sum: u32) -> u16 {
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_sixty_four_bytes() {
        assert_eq!(udp([2; 6], [4; 6], FROM, TO).len(), 64);
    }
}
