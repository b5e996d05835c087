//! DHCPv4 (RFC 2131) and DHCPv6 (RFC 8415) messages as UDP datagrams.

use super::transport::Udp;
use crate::Mac;

/// A DHCPv4 message: 1 discover, 2 offer, 3 request, 5 ack, 6 nak. Offers, acks and naks go from port 67 to 68 with `op` reply.
#[must_use]
pub fn dhcp4(message: u8, client: Mac, xid: u32) -> Udp {
    let from_server = matches!(message, 2 | 5 | 6);
    let mut body = vec![if from_server { 2 } else { 1 }, 1, 6, 0];
    body.extend(xid.to_be_bytes());
    body.extend([0; 20]);
    body.extend(client);
    // Rest of chaddr (10), sname (64), file (128).
    body.extend([0; 202]);
    body.extend([0x63, 0x82, 0x53, 0x63, 53, 1, message, 255]);
    let (source, destination) = if from_server { (67, 68) } else { (68, 67) };
    Udp::new(source, destination, &body)
}

/// A DHCPv6 message without options: 1 solicit, 2 advertise, 3 request, 7 reply. Advertise and reply go from port 547 to 546.
#[must_use]
pub fn dhcp6(message: u8, transaction: u32) -> Udp {
    let [_, a, b, c] = transaction.to_be_bytes();
    let (source, destination) = if matches!(message, 2 | 7 | 10) { (547, 546) } else { (546, 547) };
    Udp::new(source, destination, &[message, a, b, c])
}
