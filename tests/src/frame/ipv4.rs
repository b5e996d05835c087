//! IPv4 headers (RFC 791), with options and as fragments.

use super::checksum;
use super::transport::Transport;

/// An IPv4 header; length and checksum are filled in.
#[derive(Debug, Clone)]
pub struct Ipv4 {
    source: [u8; 4],
    destination: [u8; 4],
    ttl: u8,
    tos: u8,
    id: u16,
    flags_offset: u16,
    options: Vec<u8>,
}

impl Ipv4 {
    /// TTL 64, no options, no fragment.
    #[must_use]
    pub fn new(source: [u8; 4], destination: [u8; 4]) -> Self {
        Self { source, destination, ttl: 64, tos: 0, id: 1, flags_offset: 0, options: Vec::new() }
    }

    /// Sets the TTL.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets DSCP and ECN.
    #[must_use]
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// Sets the identification.
    #[must_use]
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// Adds options, padded to a multiple of four with end-of-options; 40 bytes at most count.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.iter().copied().take(40).collect();
        self.options.resize(self.options.len().next_multiple_of(4), 0);
        self
    }

    /// Makes it a fragment: offset in units of 8 bytes, and whether more follow.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.flags_offset = (offset & 0x1fff) | if more { 0x2000 } else { 0 };
        self
    }

    /// Sets the don't-fragment bit.
    #[must_use]
    pub fn dont_fragment(mut self) -> Self {
        self.flags_offset |= 0x4000;
        self
    }

    /// The packet with a transport inside, its checksum over the right pseudo-header.
    #[must_use]
    pub fn carry(&self, transport: &impl Transport) -> Vec<u8> {
        let protocol = transport.protocol();
        let payload = transport.bytes(|length| {
            let [hi, lo] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            [&self.source[..], &self.destination, &[0, protocol, hi, lo]].concat()
        });
        self.raw(protocol, &payload)
    }

    /// The packet with these bytes inside: for later fragments and for nonsense.
    #[must_use]
    pub fn raw(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let header_length = 20 + self.options.len();
        let total = u16::try_from(header_length + payload.len()).unwrap_or(u16::MAX);
        let mut packet = vec![0x40 | (header_length / 4) as u8, self.tos];
        packet.extend(total.to_be_bytes());
        packet.extend(self.id.to_be_bytes());
        packet.extend(self.flags_offset.to_be_bytes());
        packet.extend([self.ttl, protocol, 0, 0]);
        packet.extend(self.source);
        packet.extend(self.destination);
        packet.extend(&self.options);
        let sum = checksum(&[&packet]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::super::Udp;
    use super::*;

    #[test]
    fn the_worked_example_of_the_checksum_holds() {
        // RFC 1071 section 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    }

    #[test]
    fn checksums_of_header_and_udp_verify_to_zero() {
        let packet = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]).options(&[7, 3, 4]).carry(&Udp::new(1, 2, b"odd"));
        assert_eq!(packet[0], 0x46);
        assert_eq!(checksum(&[&packet[..24]]), 0);
        let pseudo = [10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 11];
        assert_eq!(checksum(&[&pseudo, &packet[24..]]), 0);
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
    }

    #[test]
    fn fragments_carry_flag_and_offset() {
        let packet = Ipv4::new([0; 4], [0; 4]).fragment(185, true).raw(17, &[0; 8]);
        assert_eq!(packet[6..8], [0x20, 185]);
    }
}
