//! The world of the golden cases: ten ports that differ in one thing each, their stations, and a policy with every kind
//! of rule.

use std::net::IpAddr;

use bridge_common::abi::{
    Control, GuardKey, LEARNING, PORT_ELIGIBLE, PORT_GUARD, PORT_MEMBER, PORT_RUNNING, PORT_TC_BEHIND, PORT_VIRTUAL,
    PORT_XDP_TARGET, Port, STATION_HOST, STATION_STATIC,
};
use bridge_tests::Mac;
use bridge_tests::model::{Generation, Setup};
use bridge_user::policy::{lower, lowered::Lowered};
use bridge_user::topology;

pub const SECOND: u64 = 1_000_000_000;
/// Short, so that a machine which has just booted can show an aged station.
pub const AGEING: u64 = 15 * SECOND;

// Interfaces. Above 255 on purpose, and in no order that slots could be mistaken for.
/// Machine port, slot 1.
pub const PA: u32 = 1001;
/// Machine port, slot 2.
pub const PB: u32 = 1002;
/// Uplink, slot 3: no virtual device, unlimited stations.
pub const UP: u32 = 300;
/// Guarded, slot 4.
pub const PG: u32 = 1004;
/// Not eligible, slot 5.
pub const PI: u32 = 1005;
/// Not running, slot 6.
pub const PD: u32 = 1006;
/// No member, slot 7.
pub const PX: u32 = 1007;
/// MTU 600, slot 8.
pub const PM: u32 = 1008;
/// No XDP target, slot 9.
pub const PN: u32 = 1009;
/// XDP with TC behind it, slot 10.
pub const PT: u32 = 1010;
/// The bridge's own device, no port.
pub const BR: u32 = 1099;
/// Another device by which the bridge hands frames to the host: an internal port, or a VLAN device on the bridge's own.
pub const GW: u32 = 1098;
/// Some other interface of the host, no port.
pub const OTHER: u32 = 1100;
/// Every interface that must exist in a kernel's namespace.
pub const INTERFACES: [u32; 13] = [PA, PB, UP, PG, PI, PD, PX, PM, PN, PT, BR, GW, OTHER];

/// MAC of the station on the port in this slot; `0xaa`: the host; others are nobody's.
pub const fn mac(number: u8) -> Mac {
    [0x52, 0x54, 0, 0, 0, number]
}
pub const A: Mac = mac(1);
pub const B: Mac = mac(2);
pub const ROUTER: Mac = mac(3);
pub const G: Mac = mac(4);
pub const HOST: Mac = mac(0xaa);
/// Static at slot 2, not seen yet.
pub const SLEEPER: Mac = mac(0x52);
/// Learned at slot 2, too long ago.
pub const OLD: Mac = mac(0x62);
/// Nobody.
pub const STRANGER: Mac = mac(0x99);

pub const IP_A: [u8; 4] = [10, 17, 4, 1];
pub const IP_B: [u8; 4] = [10, 17, 4, 2];
pub const IP_G: [u8; 4] = [10, 17, 4, 4];
pub const IP_LAN: [u8; 4] = [192, 168, 0, 7];
pub const IP_WEB: [u8; 4] = [10, 99, 0, 5];
pub const IP_OUT: [u8; 4] = [203, 0, 113, 9];
pub const IP_HOST: [u8; 4] = [10, 17, 4, 254];
pub const IP6_HOST: [u8; 16] = ip6(0xfd17, 254);
pub const IP6_A: [u8; 16] = ip6(0xfd17, 1);
pub const IP6_B: [u8; 16] = ip6(0xfd17, 2);
pub const IP6_G: [u8; 16] = ip6(0xfd17, 4);
pub const IP6_WEB: [u8; 16] = ip6(0xfd99, 5);
pub const IP6_OUT: [u8; 16] = ip6(0x2001, 9);
pub const ALL_NODES: [u8; 16] = ip6(0xff02, 1);

pub const fn ip6(first: u16, last: u8) -> [u8; 16] {
    let [a, b] = first.to_be_bytes();
    [a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

// Slots of the rules below, in their order.
pub const DEFAULT: u32 = 0;
pub const INSIDE: u32 = 1;
pub const TO_LAN: u32 = 2;
pub const WEB: u32 = 3;
pub const WEB_PING: u32 = 4;
pub const NO_SMTP: u32 = 5;
pub const OUTWARD: u32 = 6;
pub const GRE: u32 = 7;

const TOPOLOGY: &str = r#"
[bridge]
name = "br0"
manage = ["p*"]
[policy]
default = "deny"
[[policy.zone]]
name = "internal"
prefixes = ["10.17.0.0/16", "fd17::/16"]
[[policy.zone]]
name = "lan"
prefixes = ["192.168.0.0/24"]
[[policy.zone]]
name = "web"
prefixes = ["10.99.0.0/24", "fd99::/16"]
[[policy.rule]]
id = "inside"
from = "internal"
to = "internal"
action = "allow"
[[policy.rule]]
id = "to-lan"
from = "internal"
to = "lan"
both = true
action = "allow"
[[policy.rule]]
id = "web"
from = "any"
to = "web"
proto = "tcp"
ports = ["80", "443-444"]
action = "allow"
[[policy.rule]]
id = "web-ping"
from = "any"
to = "web"
proto = "icmp"
action = "allow"
[[policy.rule]]
id = "no-smtp"
from = "internal"
to = "any"
proto = "tcp"
ports = ["25"]
action = "deny"
[[policy.rule]]
id = "outward"
from = "internal"
to = "any"
stateful = true
action = "allow"
[[policy.rule]]
id = "gre"
from = "any"
to = "internal"
proto = 47
action = "allow"
"#;

/// The same, with all actions exchanged.
pub fn topology(inverted: bool) -> topology::model::Topology {
    let mut topology = topology::parse(TOPOLOGY, "world.toml").unwrap().topology;
    if inverted {
        use topology::model::Action::{Allow, Deny};
        let invert = |action| if action == Allow { Deny } else { Allow };
        topology.policy.default = invert(topology.policy.default);
        for rule in &mut topology.policy.rules {
            rule.action = invert(rule.action);
            rule.stateful = false;
        }
    }
    topology
}

/// One generation from what user space lowered.
pub fn generation(lowered: Lowered) -> Generation {
    let Lowered { zones4, zones6, pairs, l4, meta, .. } = lowered;
    Generation {
        zones4: zones4.into_iter().map(|(length, network, entry)| (length, network.octets(), entry)).collect(),
        zones6: zones6.into_iter().map(|(length, network, entry)| (length, network.octets(), entry)).collect(),
        pairs,
        l4,
        meta,
    }
}

/// The policy's tables, with this change made to it.
pub fn policy(change: impl FnOnce(&mut topology::model::Policy)) -> Generation {
    let mut policy = topology(false).policy;
    change(&mut policy);
    generation(lower(&policy, &host_addresses(), &[]).unwrap())
}

pub fn host_addresses() -> [IpAddr; 2] {
    [IpAddr::from(IP_HOST), IpAddr::from(IP6_HOST)]
}

const GOOD: u32 = PORT_MEMBER | PORT_ELIGIBLE | PORT_RUNNING | PORT_VIRTUAL | PORT_XDP_TARGET;

/// Everything as it should be: the manager alive, generation 1 live, each port's station seen just now.
pub fn world() -> Setup {
    let mut setup = Setup::default();
    let now = setup.now_ns;
    setup.set(Control::Heartbeat, now);
    setup.set(Control::AgeingNs, AGEING);
    setup.set(Control::Flags, LEARNING);
    setup.own.extend([BR, GW]);
    setup.publish(1, policy(|_| {}));
    let ports = [
        (1, PA, GOOD),
        (2, PB, GOOD),
        (3, UP, GOOD & !PORT_VIRTUAL),
        (4, PG, GOOD | PORT_GUARD),
        (5, PI, GOOD & !PORT_ELIGIBLE),
        (6, PD, GOOD & !PORT_RUNNING),
        (7, PX, GOOD & !PORT_MEMBER),
        (8, PM, GOOD),
        (9, PN, GOOD & !PORT_XDP_TARGET),
        (10, PT, GOOD | PORT_TC_BEHIND),
    ];
    for (slot, ifindex, flags) in ports {
        let mtu = if ifindex == PM { 600 } else { 1500 };
        let station_limit = if ifindex == UP { u32::MAX } else { 4 };
        setup.add_port(slot, Port { ifindex, mtu, flags, station_limit, flow_limit: 8, ..Port::default() });
        let bound = if ifindex == PG { STATION_STATIC } else { 0 };
        setup.add_station(mac(slot as u8), slot, bound, now);
    }
    // The host's own openers that are judged at egress use slot 0.
    setup.ports.insert(0, Port { flow_limit: 8, ..Port::default() });
    setup.add_station(HOST, 0, STATION_HOST, 0);
    setup.add_station(SLEEPER, 2, STATION_STATIC, 0);
    setup.add_station(OLD, 2, 0, now - AGEING - SECOND);
    let mut v4 = [0; 16];
    v4[..4].copy_from_slice(&IP_G);
    for (family, addr) in [(4, v4), (6, IP6_G)] {
        setup.guard.insert(GuardKey { addr, mac: G, port: 4, family });
    }
    setup
}
