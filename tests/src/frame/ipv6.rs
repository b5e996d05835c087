//! IPv6 headers with extension headers (RFC 8200).

use super::transport::Transport;

/// One extension header.
#[derive(Debug, Clone)]
pub struct ExtensionHeader {
    /// Its own protocol number: 0 hop-by-hop, 43 routing, 44 fragment, 51 AH, 60 destination options, or anything else.
    pub kind: u8,
    /// Everything behind the next-header byte, the length byte included.
    pub body: Vec<u8>,
}

impl ExtensionHeader {
    /// Hop-by-hop (0), destination options (60) or routing (43) of `units` times 8 bytes more than the least, filled with PadN.
    #[must_use]
    pub fn options(kind: u8, units: u8) -> Self {
        let padding = usize::from(units) * 8 + 4;
        let mut body = vec![units, 1, padding.min(255) as u8];
        body.resize(3 + padding, 0);
        Self { kind, body }
    }

    /// MLD's router-alert hop-by-hop header (RFC 2711).
    #[must_use]
    pub fn router_alert() -> Self {
        Self { kind: 0, body: vec![0, 5, 2, 0, 0, 1, 0] }
    }

    /// A fragment header: offset in units of 8 bytes, whether more follow, identification.
    #[must_use]
    pub fn fragment(offset: u16, more: bool, id: u32) -> Self {
        let mut body = vec![0];
        body.extend(((offset << 3) | u16::from(more)).to_be_bytes());
        body.extend(id.to_be_bytes());
        Self { kind: 44, body }
    }

    /// An authentication header (RFC 4302) with a 12-byte ICV.
    #[must_use]
    pub fn authentication() -> Self {
        // Payload length: its whole length in 4-byte words minus 2.
        let mut body = vec![4];
        body.resize(23, 0);
        Self { kind: 51, body }
    }
}

/// An IPv6 header and its chain; lengths are filled in.
#[derive(Debug, Clone)]
pub struct Ipv6 {
    source: [u8; 16],
    destination: [u8; 16],
    hop_limit: u8,
    chain: Vec<ExtensionHeader>,
}

impl Ipv6 {
    /// Hop limit 64, no extension headers.
    #[must_use]
    pub fn new(source: [u8; 16], destination: [u8; 16]) -> Self {
        Self { source, destination, hop_limit: 64, chain: Vec::new() }
    }

    /// Sets the hop limit (ND wants 255, MLD 1).
    #[must_use]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// Appends an extension header.
    #[must_use]
    pub fn extension(mut self, header: ExtensionHeader) -> Self {
        self.chain.push(header);
        self
    }

    /// The packet with a transport inside, its checksum over the right pseudo-header.
    #[must_use]
    pub fn carry(&self, transport: &impl Transport) -> Vec<u8> {
        let protocol = transport.protocol();
        let payload = transport.bytes(|length| {
            let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
            [&self.source[..], &self.destination, &length, &[0, 0, 0, protocol]].concat()
        });
        self.raw(protocol, &payload)
    }

    /// The packet with these bytes behind the chain; `protocol` is what the last next-header field says.
    #[must_use]
    pub fn raw(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let kinds: Vec<u8> = self.chain.iter().map(|h| h.kind).chain([protocol]).collect();
        let mut rest = Vec::new();
        for (header, next) in self.chain.iter().zip(&kinds[1..]) {
            rest.push(*next);
            rest.extend(&header.body);
        }
        rest.extend(payload);
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes());
        packet.extend([kinds[0], self.hop_limit]);
        packet.extend(self.source);
        packet.extend(self.destination);
        packet.extend(rest);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Udp, checksum};
    use super::*;

    #[test]
    fn chain_and_checksum_are_right() {
        let (a, b) = ([0x20; 16], [0x21; 16]);
        let chain =
            Ipv6::new(a, b).extension(ExtensionHeader::options(0, 0)).extension(ExtensionHeader::fragment(0, true, 9));
        let packet = chain.carry(&Udp::new(7, 8, b"abc"));
        assert_eq!((packet[6], packet[40], packet[48]), (0, 44, 17));
        assert_eq!(packet[41], 0);
        assert_eq!(packet.len(), 40 + 8 + 8 + 11);
        assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len() - 40);
        let pseudo = [&a[..], &b, &[0, 0, 0, 11, 0, 0, 0, 17]].concat();
        assert_eq!(checksum(&[&pseudo, &packet[56..]]), 0);
    }

    #[test]
    fn extension_headers_have_whole_lengths() {
        for header in [ExtensionHeader::options(60, 2), ExtensionHeader::router_alert(), ExtensionHeader::options(0, 0)]
        {
            assert_eq!(header.body.len() + 1, (usize::from(header.body[0]) + 1) * 8);
        }
        let ah = ExtensionHeader::authentication();
        assert_eq!(ah.body.len() + 1, (usize::from(ah.body[0]) + 2) * 4);
    }
}
