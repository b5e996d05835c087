//! The fuzz body on mutations of a domain's XML: a bounded number of cases, the same each time. `FASTBRIDGE_FUZZ` sets another number. cargo-fuzz
//! runs the same body: `cargo +nightly fuzz run domain_xml` in `tests/`.
//!
//! Seen to fail: with the parser's own words unescaped in errors.

#![allow(clippy::unwrap_used)]

#[path = "support/domain_xml.rs"]
mod domain_xml;

use fastrand::Rng;

const CASES: usize = 20_000;
const RUNNING: &str = include_str!("../../bridge-user/src/source/libvirt/xml/running.xml");

/// What may stand anywhere.
const PIECES: [&str; 16] = [
    "<interface>",
    "</interface>",
    "<target dev='vnet9'/>",
    "<mac address='52:54:00:00:00:09'/>",
    "<vlan><tag id='4095'/></vlan>",
    "<domain>",
    "</domain>",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>",
    "&b;",
    "&#0;",
    "<![CDATA[",
    "<!--",
    "\u{1b}[2J",
    "\u{202e}",
    "'",
    "<",
];

fn mutate(rng: &mut Rng) -> Vec<u8> {
    let mut text = RUNNING.as_bytes().to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..text.len());
        match rng.u8(..4) {
            0 => text.truncate(at),
            1 => text[at] = rng.u8(..),
            2 => {
                let end = (at + rng.usize(..60)).min(text.len());
                text.drain(at..end);
            }
            _ => {
                let piece = PIECES[rng.usize(..PIECES.len())];
                text.splice(at..at, piece.bytes());
            }
        }
        if text.is_empty() {
            break;
        }
    }
    text
}

#[test]
fn promises_hold_on_mutated_domains() {
    let count = std::env::var("FASTBRIDGE_FUZZ").ok().map_or(CASES, |text| text.parse().unwrap());
    let mut rng = Rng::with_seed(1);
    for number in 0..count {
        let mut input = b"a guest\n".to_vec();
        input.extend(mutate(&mut rng));
        let outcome = std::panic::catch_unwind(|| domain_xml::one(&input));
        assert!(outcome.is_ok(), "case {number}: {:?}", String::from_utf8_lossy(&input));
    }
}
