//! What a valid file is warned of. `§` stands where the warning must point.

use super::super::parse;
use super::{BRIDGE, REFERENCE, unmark};

#[track_caller]
fn warned(rest: &str, words: &[&str]) {
    let (text, places) = unmark(&format!("{BRIDGE}{rest}"));
    let warnings = parse(&text, "net.toml").unwrap().warnings;
    let at: Vec<_> = warnings.iter().map(|warning| (warning.line, warning.column)).collect();
    assert_eq!(at, places, "{text}\n{warnings:#?}");
    assert_eq!(warnings.len(), words.len());
    for (warning, words) in warnings.iter().zip(words) {
        assert!(warning.message.contains(words), "{warning} lacks {words:?}");
    }
}

const ZONES: &str =
    "[[policy.zone]]\nname='a'\nprefixes=['10.0.0.0/8']\n[[policy.zone]]\nname='b'\nprefixes=['11.0.0.0/8']\n";

#[test]
fn the_reference_gives_none() {
    assert_eq!(parse(REFERENCE, "").unwrap().warnings, []);
}

#[test]
fn station_in_no_zone() {
    let station =
        "[[station]]\nname='s'\nmac='52:54:00:00:00:01'\nip=['10.1.1.1', §'12.0.0.1', 'fe80::1', §'fd00::1']\n";
    warned(&format!("{station}{ZONES}"), &["12.0.0.1 of station `s` is in no zone", "fd00::1 of station `s`"]);
}

#[test]
fn guard_without_addresses() {
    let port = "[[port]]\nmatch='vnet*'\nguard=§true\n";
    warned(&format!("{port}[[station]]\nname='s'\nmac='52:54:00:00:00:01'\nport='vnet0'"), &["`s` there has no `ip`"]);
}

#[test]
fn metrics_for_everybody() {
    warned("[metrics]\nlisten = §'0.0.0.0:9417'", &["can be read from outside"]);
    warned("[metrics]\nlisten = '[::1]:9417'", &[]);
}

#[test]
fn zones_without_effect() {
    warned("[[policy.zone]]\nname='a'\nprefixes=§[]", &["has no prefix"]);
    warned("[[policy.zone]]\nname='a'\nprefixes=[§'fe80::/10', §'fe80:0:0:1::/64', '::/0']", &["link-local"; 2]);
    warned("[[policy.zone]]\nname='a'\nprefixes=[§'224.0.0.0/4', §'ff00::/8']", &["multicast"; 2]);
}

#[test]
fn rules_that_never_match() {
    let rules = |first: &str, second: &str| {
        format!("{ZONES}[[policy.rule]]\nid='x'\naction='allow'\n{first}\n[[policy.rule]]\naction='deny'\n{second}\n")
    };
    let never = |first: &str, second: &str| {
        warned(&rules(first, &format!("id=§'y'\n{second}")), &["`y` can never match: the earlier rule `x`"]);
    };
    let fine = |first: &str, second: &str| warned(&rules(first, &format!("id='y'\n{second}")), &[]);
    never("from='a'\nto='b'", "from='a'\nto='b'");
    never("from='a'\nto='b'", "from='a'\nto='b'\nproto='tcp'\nports=['1']");
    never("from='a'\nto='b'\nboth=true", "from='b'\nto='a'");
    never("from='a'\nto='b'\nboth=true", "from='b'\nto='a'\nboth=true\nproto=1");
    never("from='a'\nto='a'", "from='a'\nto='a'\nboth=true");
    never("from='a'\nto='b'\nproto='icmp'", "from='a'\nto='b'\nproto=58");
    never("from='a'\nto='b'\nproto='tcp'\nports=['1-9', '20']", "from='a'\nto='b'\nproto='tcp'\nports=['20', '2-9']");
    fine("from='a'\nto='b'", "from='b'\nto='a'");
    fine("from='a'\nto='b'", "from='a'\nto='b'\nboth=true");
    fine("from='a'\nto='b'\nproto=58", "from='a'\nto='b'\nproto='icmp'");
    fine("from='a'\nto='b'\nproto='tcp'", "from='a'\nto='b'");
    fine("from='a'\nto='b'\nproto='tcp'\nports=['1-9']", "from='a'\nto='b'\nproto='tcp'\nports=['9-10']");
    fine("from='a'\nto='b'\nproto='tcp'\nports=['1-9']", "from='a'\nto='b'\nproto='tcp'");
}
