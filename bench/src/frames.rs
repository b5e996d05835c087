//! The frames that are sent.

use bridge_tests::{
    Mac,
    frame::{Eth, Ipv4, Udp},
};

/// Ethernet's "64 bytes" include the FCS, which no virtual device carries; ours are counted without it.
const FRAME_LEN: usize = 64;
/// Two stations of the reference installation's cluster.
pub(crate) const FROM: [u8; 4] = [10, 17, 4, 21];
/// The other one.
pub(crate) const TO: [u8; 4] = [10, 17, 4, 22];

/// UDP source port.
const SOURCE_PORT: u16 = 4000;

/// A UDP frame of 64 bytes with correct checksums.
pub(crate) fn udp(source: Mac, destination: Mac, from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let payload = [0x5a; FRAME_LEN - 14 - 20 - 8];
    Eth::new(destination, source).ipv4(&Ipv4::new(from, to).carry(&Udp::new(SOURCE_PORT, 5000, &payload)))
}

/// What a source port is added to for the frame's UDP checksum, as the generator does it (RFC 1624, eqn. 3).
pub(crate) fn sum_without_port(frame: &[u8]) -> u32 {
    let checksum = u16::from_be_bytes([frame[40], frame[41]]);
    u32::from(!checksum) + u32::from(!SOURCE_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_sixty_four_bytes() {
        assert_eq!(udp([2; 6], [4; 6], FROM, TO).len(), 64);
    }
}
