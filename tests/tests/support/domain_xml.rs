//! One fuzz body for `cargo test` (`domain_xml_fuzz`), which mutates a domain's XML, and for cargo-fuzz (`tests/fuzz`): a name and an XML text out
//! of arbitrary bytes. Panics when the parser breaks a promise.

use bridge_user::source::libvirt::shown;
use bridge_user::source::libvirt::xml::{MAX_BYTES, parse};

/// Longest value and longest error text that may come out, in bytes.
const LONG: usize = 4096;

/// Reads what follows the first line of `input` as the XML of a domain that is called like the first line.
pub(crate) fn one(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (name, xml) = text.split_once('\n').unwrap_or(("", &text));
    let name: String = name.chars().take(64).collect();
    let read = parse(&name, xml);
    assert_eq!(read, parse(&name, xml), "the same text, the same answer");
    match read {
        Ok(domain) => {
            assert!(xml.len() <= MAX_BYTES);
            for interface in domain.interfaces {
                assert_eq!(interface.domain, shown(&name));
                assert!(!interface.tap.is_empty() && interface.mac[0] & 1 == 0 && interface.mac != [0; 6]);
                let values =
                    [Some(interface.tap), interface.bridge, interface.network, interface.filter, interface.bandwidth];
                assert!(values.into_iter().flatten().all(|value| value.len() <= LONG));
                assert!(interface.addresses.is_empty(), "an XML has no addresses");
            }
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.len() <= LONG && !told.chars().any(char::is_control), "{told:?}");
            assert!(told.contains(&shown(&name)), "{told:?}");
        }
    }
}
