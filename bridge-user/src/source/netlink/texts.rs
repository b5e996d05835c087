//! Messages about links and addresses whose texts are no UTF-8. The kernel takes nearly any bytes for the name, alias or alternative name of an
//! interface, and one such text, of whatever interface, must not end our look at all of them. Bytes that are no text become `?`.

use netlink_packet_core::{NetlinkDeserializable as _, NetlinkHeader};
use netlink_packet_route::RouteNetlinkMessage;

use super::NetlinkError;
use super::raw::Raw;

/// linux/if_link.h, linux/if_addr.h.
const IFLA_IFNAME: u16 = 3;
const IFLA_IFALIAS: u16 = 20;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFA_LABEL: u16 = 3;
/// `struct ifinfomsg`, `struct ifaddrmsg`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
/// The kind of an attribute, without the bit that says that it is nested.
const KIND: u16 = 0x3fff;

pub(super) const RTM_GETLINK: u16 = 18;
pub(super) const RTM_GETADDR: u16 = 22;

/// Asks for all links.
pub(super) fn links_request() -> Raw {
    Raw { kind: RTM_GETLINK, body: vec![0; LINK_HEADER] }
}

/// Asks for all addresses.
pub(super) fn addresses_request() -> Raw {
    Raw { kind: RTM_GETADDR, body: vec![0; ADDRESS_HEADER] }
}

/// A message about a link.
pub(super) fn link(row: Raw) -> Result<RouteNetlinkMessage, NetlinkError> {
    legible(row, LINK_HEADER, &[IFLA_IFNAME, IFLA_IFALIAS])
}

/// A message about an address.
pub(super) fn address(row: Raw) -> Result<RouteNetlinkMessage, NetlinkError> {
    legible(row, ADDRESS_HEADER, &[IFA_LABEL])
}

fn legible(mut row: Raw, header: usize, texts: &[u16]) -> Result<RouteNetlinkMessage, NetlinkError> {
    if let Some(attributes) = row.body.get_mut(header..) {
        make_legible(attributes, texts);
    }
    let mut header = NetlinkHeader::default();
    header.message_type = row.kind;
    Ok(RouteNetlinkMessage::deserialize(&header, &row.body)?)
}

/// Attributes in a row, up to the first that does not fit.
fn make_legible(mut rest: &mut [u8], texts: &[u16]) {
    while let [l0, l1, k0, k1, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(value) = rest.get_mut(4..length) else { return };
        match u16::from_ne_bytes([k0, k1]) & KIND {
            IFLA_PROP_LIST => make_legible(value, &[IFLA_ALT_IFNAME]),
            kind if texts.contains(&kind) => make_text(value),
            _ => {}
        }
        let Some(after) = rest.get_mut(length.next_multiple_of(4)..) else { return };
        rest = after;
    }
}

fn make_text(mut bytes: &mut [u8]) {
    while let Err(error) = std::str::from_utf8(bytes) {
        let start = error.valid_up_to();
        let end = error.error_len().map_or(bytes.len(), |length| start + length);
        let (wrong, rest) = bytes.split_at_mut(end);
        wrong[start..].fill(b'?');
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use netlink_packet_route::link::{LinkAttribute, Prop};
    use proptest::prelude::*;

    use super::super::raw::attribute;
    use super::*;

    /// RTM_NEWLINK
    fn read(attributes: &[Vec<u8>]) -> Vec<LinkAttribute> {
        let body = [vec![0; LINK_HEADER], attributes.concat()].concat();
        let Ok(RouteNetlinkMessage::NewLink(message)) = link(Raw { kind: 16, body }) else { panic!() };
        message.attributes
    }

    #[test]
    fn what_is_no_text_becomes_question_marks_and_the_rest_stays() {
        let names = [
            (&b"v\xffn\xe2\x98\0"[..], "v?n??"),
            (b"\xc3\xa9\xe2\x98\x83\0", "\u{e9}\u{2603}"),
            (b"\xe2\x98\x83\xc3\0", "\u{2603}?"),
        ];
        for (name, text) in names {
            let alternatives = attribute(IFLA_PROP_LIST | 0x8000, &attribute(IFLA_ALT_IFNAME, name));
            let found = read(&[attribute(IFLA_IFALIAS, name), alternatives, attribute(IFLA_IFNAME, name)]);
            assert_eq!(found[0], LinkAttribute::IfAlias(text.into()));
            assert_eq!(found[1], LinkAttribute::PropList(vec![Prop::AltIfName(text.into())]));
            assert_eq!(found[2], LinkAttribute::IfName(text.into()));
        }
        assert_eq!(read(&[attribute(1, &[0xff; 6])]), [LinkAttribute::Address(vec![0xff; 6])], "no text at all");
        let label = [vec![0; ADDRESS_HEADER], attribute(IFA_LABEL, b"\xff\0")].concat();
        assert!(address(Raw { kind: 20, body: label }).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_every_text_is_one(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = (link(Raw { kind: 16, body: bytes.clone() }).is_ok(), address(Raw { kind: 20, body: bytes.clone() }).is_ok());
            let mut text = bytes;
            make_text(&mut text);
            prop_assert!(std::str::from_utf8(&text).is_ok());
        }
    }
}
