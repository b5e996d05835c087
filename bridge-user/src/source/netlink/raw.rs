//! Netlink messages of which we read a few attributes by hand: a message of somebody else's that a whole parser would stumble
//! over must not end our look.

use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlasIterator};

use super::NetlinkError;

/// One message: its type, and its body with the fixed header that its family has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) kind: u16,
    pub(super) body: Vec<u8>,
}

impl NetlinkSerializable for Raw {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.body);
    }
}

impl NetlinkDeserializable for Raw {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self { kind: header.message_type, body: payload.to_vec() })
    }
}

impl Raw {
    /// The word at byte `at` of the fixed header.
    pub(super) fn word(&self, at: usize) -> Result<u32, NetlinkError> {
        let bytes = self.body.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(u32::from_ne_bytes)
            .ok_or_else(|| NetlinkError::Unreadable(format!("a message of type {} is cut", self.kind)))
    }

    /// The attributes behind a fixed header of `skip` bytes.
    pub(super) fn attributes(&self, skip: usize) -> impl Iterator<Item = (u16, &[u8])> {
        attributes(self.body.get(skip..).unwrap_or_default())
    }
}

/// Attributes in a row: kind and value. Ends at the first that does not fit.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut at = 0;
    NlasIterator::new(bytes).map_while(Result::ok).map_while(move |nla| {
        let (kind, length) = (nla.kind(), nla.value_length());
        let value = bytes.get(at + 4..at + 4 + length)?;
        at += (4 + length).next_multiple_of(4);
        Some((kind, value))
    })
}

/// The first attribute of a kind.
pub(super) fn find<'a>(mut attributes: impl Iterator<Item = (u16, &'a [u8])>, kind: u16) -> Option<&'a [u8]> {
    attributes.find_map(|(found, value)| (found == kind).then_some(value))
}

/// A text, without the zero that C puts behind it.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// One attribute as it lies in a message, for tests.
#[cfg(test)]
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [&(4 + value.len() as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_up_to_the_first_that_does_not_fit() {
        let bytes = [6, 0, 1, 0, b'a', 0, 0, 0, 5, 0, 2, 0x80, 7, 0, 0, 0, 9, 0, 3, 0, 1];
        let found: Vec<_> = attributes(&bytes).collect();
        assert_eq!(found, [(1, &b"a\0"[..]), (2, &[7][..])]);
        assert_eq!(text(found[0].1), "a");
        assert_eq!(find(attributes(&bytes), 3), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100), at in 0_usize..50) {
            let raw = Raw { kind: 1, body: bytes };
            let _ = (raw.word(at).is_ok(), raw.attributes(at).count());
        }
    }
}
