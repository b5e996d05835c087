//! MAC addresses in text. Must not judge them beyond what a station may have.

/// Parses `52:54:00:04:00:21`: six pairs of hexadecimal digits with colons between, wire order.
pub fn parse(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let digits = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// As [`parse`] reads it.
pub fn format(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Why no station can have this address, if so (IEEE 802, 8.2: the lowest bit of the first byte marks a group).
pub fn unfit(mac: [u8; 6]) -> Option<&'static str> {
    if mac[0] & 1 == 1 {
        Some("is a multicast or broadcast address")
    } else if mac == [0; 6] {
        Some("is all zeros")
    } else {
        None
    }
}
