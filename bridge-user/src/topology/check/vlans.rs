//! `[[port]] vlan = { mode = "access", tag = 10 }`.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::{Spanned, Value};

use super::super::diagnostic::Report;
use super::super::raw;
use super::choice;
use crate::source::PortVlan;

const MODES: [(&str, Mode); 4] = [
    ("access", Mode::Access),
    ("trunk", Mode::Trunk),
    ("native-tagged", Mode::Native(true)),
    ("native-untagged", Mode::Native(false)),
];

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Access,
    Trunk,
    /// Whether frames of the native VLAN leave with a tag.
    Native(bool),
}

/// What the table says; `None` after a mistake that leaves nothing to go by.
pub(super) fn check(given: &Spanned<raw::Table<raw::Vlan>>, report: &mut Report) -> Option<PortVlan> {
    let raw = &given.get_ref().0;
    let Some(mode) = &raw.mode else {
        report.error(
            given.span(),
            "vlan has no `mode`; write vlan = { mode = \"access\", tag = 10 } or mode = \"trunk\"",
        );
        return None;
    };
    let mode = choice(mode, "mode", &MODES, report);
    let trunks = raw.trunks.as_ref().map(|trunks| vids(trunks, report)).unwrap_or_default();
    let tag = raw.tag.as_ref().and_then(|tag| vid(*tag.get_ref(), tag.span(), report));
    let native = raw.native.as_ref().and_then(|native| vid(*native.get_ref(), native.span(), report));
    let place = given.span();
    match mode {
        Mode::Access => {
            unwanted(
                raw.trunks.as_ref().map(Spanned::span),
                "trunks",
                "an access port has one VLAN, its `tag`",
                report,
            );
            unwanted(
                raw.native.as_ref().map(Spanned::span),
                "native",
                "an access port has one VLAN, its `tag`",
                report,
            );
            needed(raw.tag.is_some(), "an access port needs its VLAN: tag = 10", place, report);
            tag.map(PortVlan::access)
        }
        Mode::Trunk | Mode::Native(_) => {
            let why = "a trunk has `trunks`, and `native` for frames without a tag";
            unwanted(raw.tag.as_ref().map(Spanned::span), "tag", why, report);
            if let Mode::Native(_) = mode {
                needed(
                    raw.native.is_some(),
                    "this mode needs the VLAN of frames without a tag: native = 1",
                    place,
                    report,
                );
            }
            match native {
                Some(native) => Some(PortVlan::native(native, mode == Mode::Native(true), &trunks)),
                None => (mode == Mode::Trunk).then(|| PortVlan::trunk(&trunks)),
            }
        }
    }
}

fn unwanted(place: Option<Range<usize>>, key: &str, why: &str, report: &mut Report) {
    if let Some(place) = place {
        report.error(place, format!("`{key}` does not go with this mode: {why}"));
    }
}

fn needed(given: bool, message: &str, place: Range<usize>, report: &mut Report) {
    if !given {
        report.error(place, message);
    }
}

fn vid(number: i64, place: Range<usize>, report: &mut Report) -> Option<u16> {
    let vid = u16::try_from(number).ok().filter(|vid| (1..=4094).contains(vid));
    if vid.is_none() {
        report.error(place, format!("{number} is no VLAN; VIDs are 1 to 4094"));
    }
    vid
}

/// VIDs and ranges of them.
fn vids(given: &Spanned<Vec<Spanned<Value>>>, report: &mut Report) -> BTreeSet<u16> {
    if given.get_ref().is_empty() {
        report.error(given.span(), "`trunks` is empty; list VLANs, or leave it out for every VLAN");
    }
    let mut found = BTreeSet::new();
    for item in given.get_ref() {
        match item.get_ref() {
            Value::Integer(number) => found.extend(vid(*number, item.span(), report)),
            Value::String(text) => match range(text) {
                Some((first, last)) => found.extend(first..=last),
                None => report
                    .error(item.span(), format!("`{text}` is no range of VLANs; write it like \"20-29\", 1 to 4094")),
            },
            _ => report.error(item.span(), "a VLAN is a number, or a range like \"20-29\""),
        }
    }
    found
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let digits =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let (first, last) = (digits(first)?, digits(last)?);
    (1 <= first && first <= last && last <= 4094).then_some((first, last))
}
