//! What a guest writes into its tap: frames with the header that tells what is left to do. Pure.

use bridge_tests::{
    Mac,
    frame::{Eth, Ipv4, Tcp, Transport, Udp, checksum},
};

use super::tap::{HEADER, PLAIN};
use crate::frames;

/// What one segment of a super frame carries, as a guest with timestamps and an MTU of 1500 cuts it.
const SEGMENT: u16 = 1448;
/// Segments of a super frame: the most under 64 KiB.
const SEGMENTS: usize = 44;
const IP: usize = 14;
const L4: usize = IP + 20;

/// A kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// 64 bytes of UDP, the checksum filled in: a guest that forwards for others, or has its offload off.
    Whole,
    /// The same, the checksum left to whoever needs it: what a guest's own sockets send.
    Open,
    /// A TCP super frame, its checksum left open too.
    Bulk,
}

impl Load {
    pub(super) const ALL: [Self; 3] = [Self::Whole, Self::Open, Self::Bulk];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Whole => "64 bytes, checksum filled in",
            Self::Open => "64 bytes, checksum left open",
            Self::Bulk => "TCP super frames",
        }
    }

    /// What its figures count, and how many of that are in a frame.
    pub(super) fn unit(self) -> (&'static str, f64) {
        match self {
            Self::Whole | Self::Open => ("Mpps", 1e-6),
            Self::Bulk => ("Gbit/s", SEGMENTS as f64 * f64::from(SEGMENT) * 8e-9),
        }
    }

    /// A frame and its header.
    pub(super) fn frame(self, source: Mac, destination: Mac) -> Vec<u8> {
        let (header, frame) = match self {
            Self::Whole => (PLAIN, frames::udp(source, destination, frames::FROM, frames::TO)),
            Self::Open => {
                let frame = frames::udp(source, destination, frames::FROM, frames::TO);
                let open = partial(&frame[L4..], 17);
                let udp = Udp::new(4000, 5000, &frame[L4 + 8..]).with_checksum(open);
                (header(None, 6), Eth::new(destination, source).ipv4(&packet(&udp)))
            }
            Self::Bulk => {
                let tcp = Tcp::segment(4000, 5000, 16, &vec![0x5a; SEGMENTS * usize::from(SEGMENT)]);
                let mut frame = Eth::new(destination, source).ipv4(&packet(&tcp));
                let open = partial(&frame[L4..], 6);
                frame[L4 + 16..L4 + 18].copy_from_slice(&open.to_be_bytes());
                (header(Some(L4 as u16 + 20), 16), frame)
            }
        };
        [&header[..], &frame].concat()
    }
}

fn packet(transport: &impl Transport) -> Vec<u8> {
    Ipv4::new(frames::FROM, frames::TO).carry(transport)
}

/// The pseudo-header's sum, which stands where the checksum is to be (RFC 793, linux/skbuff.h).
fn partial(segment: &[u8], protocol: u8) -> u16 {
    let [high, low] = (segment.len() as u16).to_be_bytes();
    !checksum(&[&frames::FROM, &frames::TO, &[0, protocol, high, low]])
}

/// `struct virtio_net_hdr`: the checksum is open, at `offset` of layer 4; the headers of a super frame end at `cut`.
fn header(cut: Option<u16>, offset: u16) -> [u8; HEADER] {
    const NEEDS_CHECKSUM: u8 = 1;
    const TCP_OVER_IPV4: u8 = 1;
    let kind = if cut.is_some() { TCP_OVER_IPV4 } else { 0 };
    let size = if cut.is_some() { SEGMENT } else { 0 };
    let words = [cut.unwrap_or(0), size, L4 as u16, offset].map(u16::to_ne_bytes);
    let [[a, b], [c, d], [e, f], [g, h]] = words;
    [NEEDS_CHECKSUM, kind, a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACS: [Mac; 2] = [[2; 6], [4; 6]];

    fn frame(load: Load) -> Vec<u8> {
        load.frame(MACS[0], MACS[1])
    }

    #[test]
    fn whole_and_open_differ_by_header_and_checksum_only() {
        let (whole, open) = (frame(Load::Whole), frame(Load::Open));
        assert_eq!((whole.len(), open.len()), (HEADER + 64, HEADER + 64));
        let at = HEADER + L4 + 6;
        assert_eq!((&whole[HEADER..at], &whole[at + 2..]), (&open[HEADER..at], &open[at + 2..]));
        assert_ne!(whole[at..at + 2], open[at..at + 2]);
        assert_eq!(whole[..HEADER], PLAIN);
        let words: Vec<_> = open[2..HEADER].chunks(2).map(|word| u16::from_ne_bytes([word[0], word[1]])).collect();
        assert_eq!((&open[..2], &words[..]), (&[1, 0][..], &[0, 0, 34, 6][..]));
    }

    #[test]
    fn an_open_checksum_becomes_right_when_it_is_filled_in() {
        // As a device does: the sum over layer 4, with what stands in its place.
        let (whole, mut open) = (frame(Load::Whole), frame(Load::Open));
        let at = HEADER + L4 + 6;
        let sum = checksum(&[&open[HEADER + L4..]]).to_be_bytes();
        open[at..at + 2].copy_from_slice(&sum);
        assert_eq!(open[HEADER..], whole[HEADER..]);
    }

    #[test]
    fn a_super_frame_says_how_to_cut_it() {
        let bulk = frame(Load::Bulk);
        assert!(bulk.len() - HEADER <= 65_535 + 14);
        assert_eq!(bulk[..2], [1, 1]);
        assert_eq!(u16::from_ne_bytes([bulk[2], bulk[3]]), 54);
        assert_eq!((bulk.len() - HEADER - 54) % usize::from(SEGMENT), 0);
    }
}
