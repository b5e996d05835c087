//! What IP carries: TCP, UDP, ICMP, and anything given as bytes.

use super::checksum;

/// Something that goes into an IP packet.
pub trait Transport {
    /// The IP protocol number.
    fn protocol(&self) -> u8;
    /// Its bytes; `pseudo` gives the pseudo-header for a payload of that length.
    fn bytes(&self, pseudo: impl FnOnce(usize) -> Vec<u8>) -> Vec<u8>;
}

/// A UDP datagram (RFC 768).
#[derive(Debug, Clone)]
pub struct Udp {
    source: u16,
    destination: u16,
    payload: Vec<u8>,
    checksum: Option<u16>,
}

impl Udp {
    /// With a correct checksum.
    #[must_use]
    pub fn new(source: u16, destination: u16, payload: &[u8]) -> Self {
        Self { source, destination, payload: payload.into(), checksum: None }
    }

    /// Writes this checksum (0: none given) instead of the right one.
    #[must_use]
    pub fn with_checksum(mut self, checksum: u16) -> Self {
        self.checksum = Some(checksum);
        self
    }
}

impl Transport for Udp {
    fn protocol(&self) -> u8 {
        17
    }

    fn bytes(&self, pseudo: impl FnOnce(usize) -> Vec<u8>) -> Vec<u8> {
        let length = 8 + self.payload.len();
        let mut bytes = [self.source.to_be_bytes(), self.destination.to_be_bytes()].concat();
        bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(&self.payload);
        let right = match checksum(&[&pseudo(length), &bytes]) {
            // RFC 768: a computed zero is sent as all ones.
            0 => 0xffff,
            sum => sum,
        };
        bytes[6..8].copy_from_slice(&self.checksum.unwrap_or(right).to_be_bytes());
        bytes
    }
}

/// A TCP segment (RFC 9293).
#[derive(Debug, Clone)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    pub flags: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Tcp {
    /// A SYN.
    #[must_use]
    pub fn syn(source: u16, destination: u16) -> Self {
        Self { source, destination, sequence: 1, acknowledgement: 0, flags: 2, payload: Vec::new() }
    }

    /// A segment with these flags and this payload.
    #[must_use]
    pub fn segment(source: u16, destination: u16, flags: u8, payload: &[u8]) -> Self {
        Self { source, destination, sequence: 1, acknowledgement: 1, flags, payload: payload.into() }
    }
}

impl Transport for Tcp {
    fn protocol(&self) -> u8 {
        6
    }

    fn bytes(&self, pseudo: impl FnOnce(usize) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = [self.source.to_be_bytes(), self.destination.to_be_bytes()].concat();
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(&self.payload);
        let sum = checksum(&[&pseudo(bytes.len()), &bytes]);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// An ICMP message (RFC 792).
#[derive(Debug, Clone)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The second word.
    pub rest: [u8; 4],
    /// What follows: echo data, or the quoted packet of an error.
    pub payload: Vec<u8>,
}

impl Icmp {
    /// An echo request (reply with `kind: 0`).
    #[must_use]
    pub fn echo(id: u16, sequence: u16, payload: &[u8]) -> Self {
        let ([a, b], [c, d]) = (id.to_be_bytes(), sequence.to_be_bytes());
        Self { kind: 8, code: 0, rest: [a, b, c, d], payload: payload.into() }
    }

    /// An error of this type and code that quotes `packet`: its IP header and 8 bytes more.
    #[must_use]
    pub fn error(kind: u8, code: u8, packet: &[u8]) -> Self {
        let header = packet.first().map_or(0, |b| usize::from(b & 15) * 4);
        Self { kind, code, rest: [0; 4], payload: packet.iter().copied().take(header + 8).collect() }
    }
}

impl Transport for Icmp {
    fn protocol(&self) -> u8 {
        1
    }

    fn bytes(&self, _pseudo: impl FnOnce(usize) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = [&[self.kind, self.code, 0, 0], &self.rest[..], &self.payload].concat();
        let sum = checksum(&[&bytes]);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// Any protocol number with any bytes.
#[derive(Debug, Clone)]
pub struct RawProto(pub u8, pub Vec<u8>);

impl Transport for RawProto {
    fn protocol(&self) -> u8 {
        self.0
    }

    fn bytes(&self, _pseudo: impl FnOnce(usize) -> Vec<u8>) -> Vec<u8> {
        self.1.clone()
    }
}
