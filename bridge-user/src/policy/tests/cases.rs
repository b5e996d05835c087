//! Cases with known tables: classes, slots, link-local, the host, limits.

use std::net::IpAddr;

use bridge_common::abi::maps::HOST_ADDRESSES;
use bridge_common::abi::{L4Data, Pair, RULE_ALLOW, RULE_NEEDS_PORTS, RULE_STATEFUL, RULE_VALID, ZONE_HOST};

use crate::policy::lowered::Lowered;
use crate::policy::{LowerError, lower};
use crate::topology::model::{Policy, ZoneRef};
use crate::topology::parse;

fn policy(text: &str) -> Policy {
    parse(&format!("[bridge]\nname='br0'\nmanage=['v*']\n[limits]\nzones=4096\nrules=16384\n{text}"), "p")
        .unwrap()
        .topology
        .policy
}

fn lowered(text: &str) -> Lowered {
    let lowered = lower(&policy(text), &[], &[]).unwrap();
    lowered.assert_well_formed();
    lowered
}

fn zone(name: &str, prefixes: &str) -> String {
    format!("[[policy.zone]]\nname='{name}'\nprefixes=[{prefixes}]\n")
}

fn rule(id: &str, from: &str, to: &str, rest: &str) -> String {
    format!("[[policy.rule]]\nid='{id}'\nfrom='{from}'\nto='{to}'\naction='allow'\n{rest}\n")
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const ALLOW: u32 = RULE_VALID | RULE_ALLOW;

#[test]
fn reference_policy() {
    let text = include_str!("../../../../tests/fixtures/reference.toml");
    let lowered = lower(&parse(text, "").unwrap().topology.policy, &[address("10.17.4.1")], &[]).unwrap();
    assert_eq!(lowered.l4, [], "nothing depends on protocols");
    let stateful = ALLOW | RULE_STATEFUL;
    let flagged = |word, flags| Pair { word, class: 0, flags };
    let expected = [
        // from no zone: replies only
        flagged(RULE_VALID, 0),
        flagged(RULE_VALID, 1),
        flagged(RULE_VALID, 1),
        // from internal
        flagged(stateful | 4, 0),
        flagged(ALLOW | 1, 0),
        flagged(ALLOW | 2, 0),
        // from lan
        flagged(stateful | 5, 0),
        flagged(ALLOW | 2, 0),
        flagged(ALLOW | 3, 0),
    ];
    assert_eq!(lowered.pairs, expected);
    assert_eq!((lowered.meta.stride, lowered.meta.stateful, lowered.meta.drop_other_ethertypes), (3, true, false));
    assert_eq!(lowered.entry(address("10.17.4.1")), ZONE_HOST | 1);
    assert_eq!(lowered.entry(address("192.168.0.55")), 2);
    assert_eq!(lowered.entry(address("8.8.8.8")), 0);
}

#[test]
fn empty_policies() {
    let denied = Pair { word: RULE_VALID, class: 0, flags: 0 };
    assert_eq!(lowered("").pairs, [denied]);
    assert_eq!(lowered("[policy]\ndefault='allow'").pairs, [Pair { word: ALLOW, ..denied }]);
    assert!(lowered("[policy]\nother_ethertypes='drop'").meta.drop_other_ethertypes);
    assert_eq!(lowered("").rule_ids, [Some("default".to_owned())]);
}

#[test]
fn ports_become_few_prefixes() {
    let lowered = lowered(&rule("web", "any", "any", "proto='tcp'\nports=['80-81', '82', '443']"));
    let key = |portless, port: u16| L4Data { class: [0, 1], proto: 6, portless, port: port.to_be_bytes(), pad: [0; 2] };
    let expected = [
        (32, key(0, 0), RULE_VALID),
        (32, key(1, 0), RULE_VALID | RULE_NEEDS_PORTS),
        (47, key(0, 80), ALLOW | 1),
        (48, key(0, 82), ALLOW | 1),
        (48, key(0, 443), ALLOW | 1),
    ];
    assert_eq!(lowered.l4, expected);
    assert_eq!(lowered.pairs, [Pair { word: RULE_VALID, class: 1, flags: 0 }]);
}

#[test]
fn a_port_range_behind_its_whole_protocol_needs_nothing() {
    let text = rule("a", "any", "any", "proto='tcp'") + &rule("b", "any", "any", "proto='tcp'\nports=['80']");
    let lowered = lowered(&text);
    assert_eq!(lowered.l4.len(), 2, "{:?}", lowered.l4);
    assert!(lowered.l4.iter().all(|&(length, _, word)| (length, word) == (32, ALLOW | 1)));
}

#[test]
fn ranges_over_every_port_need_no_port() {
    let mut policy = policy(&rule("all", "any", "any", "proto='udp'\nports=['53']"));
    policy.rules[0].ports = vec![(0, 99), (50, u16::MAX)];
    let lowered = lower(&policy, &[], &[]).unwrap();
    assert_eq!(lowered.word(address("10.0.0.1"), address("10.0.0.2"), 17, None), ALLOW | 1);
    assert_eq!(lowered.word(address("10.0.0.1"), address("10.0.0.2"), 17, Some(0)), ALLOW | 1);
}

#[test]
fn pairs_with_the_same_rules_share_a_class() {
    let zones: String = (0..250).map(|z| zone(&format!("z{z}"), "")).collect();
    let any = rule("https", "any", "any", "proto='tcp'\nports=['443']");
    let lowered = lowered(&format!("{zones}{any}{}", rule("dns", "z7", "any", "proto='udp'\nports=['53']")));
    let classes: std::collections::HashSet<_> = lowered.pairs.iter().map(|pair| pair.class).collect();
    assert_eq!(classes.len(), 2);
    assert_eq!(lowered.pairs.len(), 251 * 251);
    assert_ne!(lowered.pairs[8 * 251].class, lowered.pairs[7 * 251].class);
}

#[test]
fn rules_behind_one_that_takes_all_make_no_class() {
    let text = rule("all", "any", "any", "") + &rule("tcp", "any", "any", "proto='tcp'\nstateful=true");
    assert_eq!(lowered(&text).pairs, [Pair { word: ALLOW | 1, class: 0, flags: 0 }]);
}

#[test]
fn link_local_is_in_no_zone() {
    let all = lowered(&(zone("a", "'::/0'") + &zone("b", "'fe80::/10', 'fe80::/64', 'fe80::1/128'")));
    for text in ["fe80::1", "fe80::2", "febf:ffff::1"] {
        assert_eq!(all.entry(address(text)), 0, "{text}");
    }
    assert_eq!((all.entry(address("fe7f::1")), all.entry(address("fec0::1"))), (1, 1));
    assert_eq!(all.zones6.len(), 2);
    // Where nothing covers it, nothing is needed.
    assert_eq!(lowered(&zone("b", "'fe80::/64', 'fd00::/8'")).zones6.len(), 1);
    let host = lower(&policy(&zone("a", "'::/0'")), &[address("fe80::1")], &[]).unwrap();
    assert_eq!(host.entry(address("fe80::1")), ZONE_HOST);
}

#[test]
fn host_addresses_keep_their_zone() {
    let policy = policy(&(zone("a", "'10.0.0.0/8', '10.0.0.1/32'") + &zone("b", "'10.1.0.0/16', 'fd00::/8'")));
    let own = ["10.0.0.1", "10.1.0.1", "10.1.0.1", "9.9.9.9", "fd00::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1"];
    let lowered = lower(&policy, &own.map(address), &[]).unwrap();
    lowered.assert_well_formed();
    let entries = ["10.0.0.1", "10.1.0.1", "9.9.9.9", "fd00::1"].map(|text| lowered.entry(address(text)));
    assert_eq!(entries, [ZONE_HOST | 1, ZONE_HOST | 2, ZONE_HOST, ZONE_HOST | 2]);
    assert_eq!((lowered.zones4.len(), lowered.zones6.len()), (5, 2));
    assert_eq!(lowered.entry(address("10.1.0.2")), 2);
}

#[test]
fn slots_stay_with_their_ids() {
    let ids = |names: &[&str]| -> Vec<Option<String>> {
        names.iter().map(|name| (!name.is_empty()).then(|| (*name).to_owned())).collect()
    };
    let step = |rules: &[&str], previous: &[Option<String>]| {
        let text: String = rules.iter().map(|id| rule(id, "any", "any", "proto=1")).collect();
        lower(&policy(&text), &[], previous).unwrap().rule_ids
    };
    let first = step(&["a", "b", "c"], &[]);
    assert_eq!(first, ids(&["default", "a", "b", "c"]));
    // b goes, d comes: not into b's slot, which the live generation still counts under.
    let second = step(&["d", "c", "a"], &first);
    assert_eq!(second, ids(&["default", "a", "", "c", "d"]));
    let third = step(&["e", "d", "f"], &second);
    assert_eq!(third, ids(&["default", "", "e", "", "d", "f"]));
    // However often everything changes, there are never more slots than for twice the rules.
    let mut previous = third;
    for round in 0..20 {
        let rules = [format!("x{round}"), format!("y{round}"), format!("z{round}")];
        previous = step(&rules.each_ref().map(String::as_str), &previous);
        assert!(previous.len() <= 7, "{previous:?}");
    }
}

#[test]
fn words_carry_the_kept_slot() {
    let previous = ["default", "old", "b"].map(|id| Some(id.to_owned()));
    let lowered = lower(&policy(&rule("b", "any", "any", "stateful=true")), &[], &previous).unwrap();
    assert_eq!(lowered.pairs[0].word, ALLOW | RULE_STATEFUL | 2);
    assert_eq!(lowered.rule_ids[1], None);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut broken = policy(&(zone("a", "") + &rule("r", "a", "any", "")));
    broken.rules[0].to = ZoneRef::Zone(1);
    assert!(matches!(lower(&broken, &[], &[]), Err(LowerError::UnknownZone { zone: 1, zones: 1, .. })));

    let own: Vec<IpAddr> = (0..=HOST_ADDRESSES).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes())).collect();
    assert_eq!(lower(&policy(""), &own, &[]), Err(LowerError::TooManyHostAddresses(1025)));
    assert!(lower(&policy(""), &own[1..], &[]).is_ok());

    // Every pair has a list of its own, each with its own entries for 30 port prefixes.
    let zones: String = (0..256).map(|z| zone(&format!("z{z}"), "")).collect();
    let tcp = |ports: &str| -> String {
        let ends = |z| {
            rule(&format!("f{z}"), &format!("z{z}"), "any", &format!("proto='tcp'\n{ports}"))
                + &rule(&format!("t{z}"), "any", &format!("z{z}"), "proto='udp'")
        };
        (0..256).map(ends).collect()
    };
    let many = lower(&policy(&format!("{zones}{}", tcp("ports=['1-65534']"))), &[], &[]);
    assert_eq!(many, Err(LowerError::TooManyL4Entries));
    assert_eq!(lower(&policy(&format!("{zones}{}", tcp(""))), &[], &[]), Err(LowerError::TooManyClasses));

    let slots: Vec<_> = (0..=u16::MAX).map(|slot| Some(slot.to_string())).collect();
    assert_eq!(lower(&policy(&rule("new", "any", "any", "")), &[], &slots), Err(LowerError::TooManySlots(65537)));
}
