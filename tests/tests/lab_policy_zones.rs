//! Zones and rules on real traffic, beyond the reference: IPv6, ports, default allow with a rule that denies, a policy that changes under
//! traffic. Needs root and the binary.

#![allow(clippy::unwrap_used)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use bridge_tests::lab::{Lab, MachineSpec, SlowPath};
use bridge_tests::session::Session;
use bridge_tests::wait_until;

const LIMIT: Duration = Duration::from_millis(250);

fn ways() -> [(SlowPath, &'static str); 3] {
    [(SlowPath::LinuxBridge, "auto"), (SlowPath::LinuxBridge, "xdp"), (SlowPath::ovs(), "auto")]
}

/// Three machines on one segment, each with an address of each family: internal, LAN, and in no zone.
fn lab(slow_path: SlowPath) -> Lab {
    let machine = |name: &str, port: &str, v4: &str, v6: &str| MachineSpec::new(name, port).address(v4).address(v6);
    let lab = Lab::builder(slow_path)
        .machine(machine("inner", "vnet0", "10.17.4.21/32", "fd00:17::21/8"))
        .machine(machine("lan", "vnet1", "192.168.0.9/32", "fd00:192::9/8"))
        .machine(machine("outer", "vnet2", "203.0.113.8/32", "fd00:203::8/8"))
        .build()
        .unwrap();
    for machine in lab.machines() {
        machine.netns().ip("route add default dev eth0").unwrap();
    }
    lab
}

fn topology(hook: &str, default: &str, rules: &str) -> String {
    format!(
        r#"[bridge]
name = "br0"
manage = ["vnet*"]
[[port]]
match = "vnet*"
hook = "{hook}"
[policy]
default = "{default}"
[[policy.zone]]
name = "internal"
prefixes = ["10.17.0.0/16", "fd00:17::/32"]
[[policy.zone]]
name = "lan"
prefixes = ["192.168.0.0/24", "fd00:192::/32"]
{rules}"#
    )
}

const STATEFUL: &str = r#"
[[policy.rule]]
id = "internal-lan"
from = "internal"
to = "lan"
both = true
action = "allow"
[[policy.rule]]
id = "internal-any"
from = "internal"
to = "any"
stateful = true
action = "allow"
[[policy.rule]]
id = "published"
from = "any"
to = "lan"
proto = "tcp"
ports = ["6443"]
stateful = true
action = "allow"
"#;

const DENY_SSH: &str = r#"
[[policy.rule]]
id = "no-ssh"
from = "any"
to = "internal"
proto = "tcp"
ports = ["22"]
action = "deny"
[[policy.rule]]
id = "no-ping"
from = "lan"
to = "internal"
proto = "icmp"
action = "deny"
"#;

fn address(machine: &str, family: u8, port: u16) -> SocketAddr {
    let ip = match (machine, family) {
        ("inner", 4) => "10.17.4.21",
        ("lan", 4) => "192.168.0.9",
        ("outer", 4) => "203.0.113.8",
        ("inner", _) => "fd00:17::21",
        ("lan", _) => "fd00:192::9",
        _ => "fd00:203::8",
    };
    SocketAddr::new(ip.parse().unwrap(), port)
}

/// Whether a TCP connection comes about.
fn opens(session: &Session, from: &str, to: &str, family: u8, port: u16) -> bool {
    let address = address(to, family, port);
    let netns = |name| session.lab().netns(name).unwrap();
    let _listener = netns(to).enter(|| TcpListener::bind(address).unwrap()).unwrap();
    netns(from).enter(|| TcpStream::connect_timeout(&address, LIMIT).is_ok()).unwrap()
}

fn pings(session: &Session, from: &str, to: &str, family: u8) -> bool {
    session.lab().machine(from).unwrap().ping(&address(to, family, 0).ip().to_string()).unwrap().ok
}

#[test]
fn stateful_rules_in_both_families() {
    for (slow_path, hook) in ways() {
        let session = Session::start(lab(slow_path), &topology(hook, "deny", STATEFUL)).unwrap();
        for family in [4, 6] {
            let what = format!("{slow_path:?}, {hook}, IPv{family}");
            for (from, to, port, expected) in [
                ("inner", "lan", 80, true),
                ("lan", "inner", 80, true),
                ("inner", "outer", 443, true),
                ("outer", "inner", 443, false),
                ("lan", "outer", 443, false),
                ("outer", "lan", 443, false),
                ("outer", "lan", 6443, true),
            ] {
                let counters = session.counters().unwrap();
                assert_eq!(
                    opens(&session, from, to, family, port),
                    expected,
                    "{what}: {from} to {to}: {:#}",
                    counters.0
                );
            }
            assert!(pings(&session, "inner", "outer", family), "{what}");
            assert!(!pings(&session, "outer", "inner", family), "{what}");
        }
        let flows = session.control().show("flows").unwrap().to_string();
        for word in ["icmpv6", "fd00:17::21", "published", "internal-any"] {
            assert!(flows.contains(word), "{slow_path:?}, {hook}: no {word}: {flows}");
        }
        assert_eq!(session.counters().unwrap().drops().keys().collect::<Vec<_>>(), ["policy"]);
    }
}

/// The policy inverted: all is allowed but what rules deny.
#[test]
fn a_denying_rule_under_default_allow() {
    for (slow_path, hook) in ways() {
        let session = Session::start(lab(slow_path), &topology(hook, "allow", DENY_SSH)).unwrap();
        for family in [4, 6] {
            let what = format!("{slow_path:?}, {hook}, IPv{family}");
            assert!(!opens(&session, "outer", "inner", family, 22), "{what}");
            assert!(opens(&session, "outer", "inner", family, 23), "{what}");
            assert!(opens(&session, "inner", "outer", family, 22), "{what}");
            assert!(pings(&session, "outer", "inner", family), "{what}");
            assert!(!pings(&session, "lan", "inner", family), "{what}");
            assert!(pings(&session, "lan", "outer", family), "{what}");
        }
        let counters = session.counters().unwrap();
        assert!(counters.0["rules"]["no-ssh"]["packets"].as_u64().unwrap() >= 2, "{:#}", counters.0);
        assert_eq!(counters.0["rules"]["no-ping"]["packets"], 2, "{:#}", counters.0);
    }
}

/// A rule taken out of the file takes its flows with it: the opener is judged again, and the replies stop.
#[test]
fn a_flow_dies_with_its_rule() {
    for (slow_path, hook) in ways() {
        let session = Session::start(lab(slow_path), &topology(hook, "deny", STATEFUL)).unwrap();
        assert!(pings(&session, "inner", "outer", 4), "{slow_path:?}, {hook}");
        session.rewrite(&topology(hook, "deny", "")).unwrap();
        let in_force =
            || session.control().show("policy").is_ok_and(|policy| !policy.to_string().contains("internal-any"));
        wait_until("the new policy is in force", Duration::from_secs(20), in_force).unwrap();
        assert!(!pings(&session, "inner", "outer", 4), "{slow_path:?}, {hook}");
        assert_eq!(session.manager().errors_in_log(), Vec::<String>::new());
    }
}

/// What was found out about an address does not outlive the zones that it was found out from.
#[test]
fn an_address_leaves_its_zone_and_comes_back() {
    for (slow_path, hook) in ways() {
        let what = format!("{slow_path:?}, {hook}");
        let whole = topology(hook, "deny", STATEFUL);
        let half = whole.replace("192.168.0.0/24", "192.168.0.128/25").replace("fd00:192::/32", "fd00:192:8000::/33");
        let session = Session::start(lab(slow_path), &whole).unwrap();
        let reaches = || [4, 6].map(|family| pings(&session, "lan", "inner", family));
        assert_eq!(reaches(), [true; 2], "{what}");
        for (text, zone, reached) in [(&half, "192.168.0.128/25", false), (&whole, "192.168.0.0/24", true)] {
            session.rewrite(text).unwrap();
            let in_force = || session.control().show("policy").is_ok_and(|policy| policy.to_string().contains(zone));
            wait_until("the new policy is in force", Duration::from_secs(20), in_force).unwrap();
            assert_eq!(reaches(), [reached; 2], "{what}, {zone}");
        }
    }
}
