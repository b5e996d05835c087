//! What frames cannot show well: reads at the very end, and the arithmetic of checksums.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::abi::Drop;

#[test]
fn reads_end_with_the_frame() {
    let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
    let frame = Bytes::new(&bytes);
    assert_eq!(frame.read::<[u8; 4]>(4), Some([5, 6, 7, 8]));
    assert_eq!(frame.read::<[u8; 4]>(5), None);
    assert_eq!(frame.read::<[u8; 8]>(0), Some(bytes));
    assert_eq!(frame.read::<[u8; 4]>(u32::MAX), None);
}

#[test]
fn frames_without_a_whole_header_are_malformed() {
    for length in 0..14 {
        assert_eq!(parse(&Bytes::new(&[0; 14][..length])), Err(Drop::Malformed));
    }
}

#[test]
fn a_checksum_is_partial_only_at_the_pseudo_header_sum() {
    // 10.0.0.1 to 10.0.0.2, TCP, 20 bytes: 0a00 + 0001 + 0a00 + 0002 + 0006 + 0014 = 141d.
    let mut ip = Ip { family: 4, proto: proto::TCP, l4_len: 20, checksum: 0x141d, ..Ip::default() };
    (ip.src, ip.dst) = (Addr::v4([10, 0, 0, 1]), Addr::v4([10, 0, 0, 2]));
    assert!(!has_full_checksum(&ip));
    for other in [0x141c, 0x141e, 0x1d14, !0x141d] {
        assert!(has_full_checksum(&Ip { checksum: other, ..ip }), "{other:04x}");
    }
    assert!(!has_full_checksum(&Ip { checksum: 0, ..ip }));
    assert!(!has_full_checksum(&Ip { fragment: true, checksum: 1, ..ip }));
}

#[test]
fn the_pseudo_header_sum_folds_every_carry() {
    // Sixteen words of ffff, the protocol and the length: ffff is zero in one's complement, 0011 + 0008 = 0019 is left.
    let ip = Ip { family: 6, proto: proto::UDP, l4_len: 8, checksum: 0x19, ..Ip::default() };
    let ip = Ip { src: Addr([0xff; 16]), dst: Addr([0xff; 16]), ..ip };
    assert!(!has_full_checksum(&ip));
    assert!(has_full_checksum(&Ip { checksum: 0x1a, ..ip }));
}

#[test]
fn reserved_groups_end_where_they_should() {
    for last in 0..=255_u8 {
        assert_eq!(is_reserved(&[1, 0x80, 0xc2, 0, 0, last]), last < 16);
        assert_eq!(is_reserved(&[1, 0, 0x0c, 0xcc, 0xcc, last]), (0xc0..0xd0).contains(&last));
    }
    assert!(!is_reserved(&[0, 0x80, 0xc2, 0, 0, 0]) && !is_reserved(&[0xff; 6]));
}

/// An LLC header of an unnumbered frame is three bytes, and nothing need follow it.
#[test]
fn three_bytes_of_llc_are_whole() {
    let frame = [&[0; 12][..], &[0, 3, 0x42, 0x42, 3]].concat();
    assert_eq!(parse(&Bytes::new(&frame)).map(|packet| packet.class), Ok(Class::Control));
    assert_eq!(parse(&Bytes::new(&frame[..16])).map(|packet| packet.class), Err(Drop::Malformed));
}
