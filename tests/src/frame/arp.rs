//! ARP for IPv4 over Ethernet (RFC 826).

use crate::Mac;

/// An ARP body; every field can contradict the Ethernet header.
#[derive(Debug, Clone)]
pub struct Arp {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Sender hardware address.
    pub sender_mac: Mac,
    /// Sender protocol address.
    pub sender_ip: [u8; 4],
    /// Target hardware address.
    pub target_mac: Mac,
    /// Target protocol address.
    pub target_ip: [u8; 4],
}

impl Arp {
    /// Who has `target_ip`? Tell `sender_ip`.
    #[must_use]
    pub fn request(sender_mac: Mac, sender_ip: [u8; 4], target_ip: [u8; 4]) -> Self {
        Self { operation: 1, sender_mac, sender_ip, target_mac: [0; 6], target_ip }
    }

    /// `sender_ip` is at `sender_mac`.
    #[must_use]
    pub fn reply(sender_mac: Mac, sender_ip: [u8; 4], target_mac: Mac, target_ip: [u8; 4]) -> Self {
        Self { operation: 2, sender_mac, sender_ip, target_mac, target_ip }
    }

    /// The 28 bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut body = vec![0, 1, 8, 0, 6, 4];
        body.extend(self.operation.to_be_bytes());
        body.extend(self.sender_mac);
        body.extend(self.sender_ip);
        body.extend(self.target_mac);
        body.extend(self.target_ip);
        body
    }
}
