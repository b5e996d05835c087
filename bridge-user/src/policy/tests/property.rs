//! Random policies and packets: the tables and the oracle must agree.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Decision, oracle};
use crate::policy::lower;
use crate::topology::model::{Action, OtherEthertypes, Policy, Rule, Zone, ZoneRef};

/// Nested in each other, to the ends of both families, over and inside link-local.
const PREFIXES: [&str; 18] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "128.0.0.0/1",
    "192.168.0.0/24",
    "255.0.0.0/8",
    "::/0",
    "8000::/1",
    "fe00::/8",
    "fe80::/10",
    "fe80::/64",
    "fe80::1/128",
    "fd00::/8",
    "fd00:1::/32",
    "fd00:1::1/128",
    "fec0::/10",
];
const ADDRESSES: [&str; 16] = [
    "10.1.2.3",
    "10.1.2.4",
    "10.1.3.1",
    "10.2.0.1",
    "11.0.0.1",
    "192.168.0.1",
    "200.0.0.1",
    "255.1.1.1",
    "fe80::1",
    "fe80::2",
    "febf::1",
    "fec0::1",
    "fd00:1::1",
    "fd00:1::2",
    "fd01::1",
    "2001:db8::1",
];
const EDGES: [u16; 12] = [1, 2, 79, 80, 81, 443, 444, 1023, 1024, 32768, 65534, 65535];

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![prop::sample::select(&EDGES[..]), 1..=u16::MAX]
}

fn zones() -> impl Strategy<Value = Vec<Zone>> {
    let places = prop::collection::vec(0..7_usize, PREFIXES.len());
    (1..5_usize, places).prop_map(|(count, places)| {
        let prefixes = |zone| {
            let here = places.iter().zip(PREFIXES).filter(move |&(&place, _)| place == zone);
            here.map(|(_, text)| text.parse::<IpNet>().unwrap()).collect()
        };
        (0..count).map(|zone| Zone { name: format!("z{zone}"), prefixes: prefixes(zone) }).collect()
    })
}

fn rule(zones: usize) -> impl Strategy<Value = Rule> {
    let end = move || prop_oneof![1 => Just(ZoneRef::Any), 2 => (0..zones).prop_map(ZoneRef::Zone)];
    let ranges = prop::collection::vec((port(), port()).prop_map(|(a, b)| (a.min(b), a.max(b))), 0..4);
    let matched = prop_oneof![
        1 => Just((None, Vec::new())),
        1 => prop::sample::select(vec![vec![1, 58], vec![132], vec![0], vec![255]]).prop_map(|p| (Some(p), Vec::new())),
        4 => (prop::sample::select(vec![6_u8, 17]), ranges).prop_map(|(proto, ranges)| (Some(vec![proto]), ranges)),
    ];
    (end(), end(), any::<[bool; 3]>(), matched).prop_map(|(from, to, [both, stateful, allow], (proto, ports))| Rule {
        id: String::new(),
        from,
        to,
        both,
        stateful,
        action: if allow { Action::Allow } else { Action::Deny },
        proto,
        ports,
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    zones().prop_flat_map(|zones| {
        let rules = prop::collection::vec(rule(zones.len()), 0..8);
        (rules, any::<bool>()).prop_map(move |(mut rules, allow)| {
            for (index, rule) in rules.iter_mut().enumerate() {
                rule.id = format!("r{index}");
            }
            let default = if allow { Action::Allow } else { Action::Deny };
            Policy { default, other_ethertypes: OtherEthertypes::Punt, zones: zones.clone(), rules }
        })
    })
}

/// Two addresses of one family, a protocol and perhaps a port.
type Packet = (IpAddr, IpAddr, u8, Option<u16>);

fn packet() -> impl Strategy<Value = Packet> {
    let address = || prop::sample::select(&ADDRESSES[..]).prop_map(|text| text.parse::<IpAddr>().unwrap());
    let listed = |numbers: &[u8]| prop::sample::select(numbers.to_vec());
    let proto = prop_oneof![4 => listed(&[6, 17]), 2 => listed(&[0, 1, 58, 132]), 1 => any::<u8>()];
    let port = prop::option::weighted(0.7, prop_oneof![port(), Just(0)]);
    (address(), address(), proto, port).prop_filter("one family", |(from, to, ..)| from.is_ipv4() == to.is_ipv4())
}

#[test]
fn tables_decide_as_the_policy_does() {
    let reached = RefCell::new(HashMap::<&str, u32>::new());
    let count = |what| *reached.borrow_mut().entry(what).or_default() += 1;
    let hosts = prop::collection::vec(prop::sample::select(&ADDRESSES[..]), 0..4);
    let input = (policy(), hosts, prop::collection::vec(packet(), 32));
    let outcome = TestRunner::new(Config::with_cases(1000)).run(&input, |(policy, hosts, packets)| {
        let hosts: Vec<IpAddr> = hosts.iter().map(|text| text.parse().unwrap()).collect();
        let lowered = lower(&policy, &hosts, &[]).unwrap();
        lowered.assert_well_formed();
        for address in ADDRESSES.map(|text| text.parse::<IpAddr>().unwrap()) {
            let zone = oracle::zone_of(&policy, address).map_or(0, |index| index + 1);
            prop_assert_eq!(lowered.entry(address) as u16 as usize, zone, "zone of {}", address);
            prop_assert_eq!(lowered.is_host(address), hosts.contains(&address), "host flag of {}", address);
        }
        let stateful = |rule: &&Rule| rule.stateful && rule.action == Action::Allow;
        prop_assert_eq!(lowered.meta.stateful, policy.rules.iter().any(|rule| stateful(&rule)));
        for (from, to, proto, port) in packets {
            let expected = oracle::decide(&policy, from, to, proto, port);
            let word = lowered.decide(from, to, proto, port);
            prop_assert_eq!(&word, &expected, "{} {} {} {:?}", from, to, proto, port);
            count(match &expected {
                Decision::NeedsPorts => "needs ports",
                Decision::Rule { id, allow: true, .. } if id == "default" => "allowed by default",
                Decision::Rule { id, .. } if id == "default" => "denied by default",
                Decision::Rule { stateful: true, .. } => "allowed, stateful",
                Decision::Rule { allow: true, .. } => "allowed",
                Decision::Rule { .. } => "denied",
            });
            // The flag must be there when the opposite can be stateful, and only if some rule there is.
            let reverse = lowered.reverse_stateful(to, from);
            if matches!(expected, Decision::Rule { stateful: true, .. }) {
                prop_assert!(reverse, "replies of {} to {} would not be looked up", from, to);
            }
            let (from, to) = (oracle::zone_of(&policy, from), oracle::zone_of(&policy, to));
            let some = policy.rules.iter().filter(stateful).any(|rule| oracle::is_between(rule, from, to));
            prop_assert!(some || !reverse);
            count(if reverse { "flag" } else { "no flag" });
        }
        Ok(())
    });
    outcome.unwrap();
    let reached = reached.into_inner();
    let all = [
        "needs ports",
        "allowed by default",
        "denied by default",
        "allowed, stateful",
        "allowed",
        "denied",
        "flag",
        "no flag",
    ];
    for what in all {
        assert!(reached.get(what).is_some_and(|&times| times > 100), "{what} was hardly reached: {reached:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Both sides of every range's ends, not only sampled ports.
    #[test]
    fn every_boundary_of_one_pair(policy in policy(), (from, to, _, _) in packet()) {
        let lowered = lower(&policy, &[], &[]).unwrap();
        for proto in [6, 17] {
            for port in oracle::boundaries(&policy) {
                prop_assert_eq!(
                    lowered.decide(from, to, proto, Some(port)), oracle::decide(&policy, from, to, proto, Some(port))
                );
            }
        }
    }
}
