//! VLANs beside a real Open vSwitch: frames between access, trunk and native ports are forwarded with the right tag, to the right port
//! and to no other; a change of a port's VLAN is followed. Judged by captures behind every port. Needs root and the binary.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::capture::Tap;
use bridge_tests::frame::{BROADCAST, Eth, Ipv4, Udp, ethertype};
use bridge_tests::lab::{Lab, SlowPath};
use bridge_tests::session::Session;
use bridge_tests::{Mac, format_mac, wait_until};

const TOPOLOGY: &str = "[bridge]\nname = \"br0\"\nmanage = [\"vnet*\"]\n[policy]\ndefault = \"allow\"\n";
const QUIET: Duration = Duration::from_millis(200);
/// Eligible again, or known to be another VLAN's, within this.
const FOLLOWED: Duration = Duration::from_secs(2);

/// Two access ports of VLAN 10, a trunk of 10 and 20, a native-untagged port of 10, an access port of 20.
const PORTS: [&[&str]; 5] =
    [&["tag=10"], &["tag=10"], &["trunks=10,20"], &["vlan_mode=native-untagged", "tag=10"], &["tag=20"]];

struct Bench {
    session: Session,
    taps: Vec<Tap>,
    macs: Vec<Mac>,
}

/// How a station behind a port sends in a VLAN.
#[derive(Clone, Copy)]
struct At(usize, Option<u16>);

impl Bench {
    fn new() -> Self {
        let lab = Lab::builder(SlowPath::ovs()).raw_ports(PORTS.len()).build().unwrap();
        for (port, columns) in PORTS.iter().enumerate() {
            let name = format!("vnet{port}");
            lab.ovs().unwrap().vsctl(&[&["set", "port", &name], *columns].concat()).unwrap();
        }
        let session = Session::start(lab, TOPOLOGY).unwrap();
        let machines = session.lab().machines();
        let taps = machines.iter().map(|machine| Tap::open(machine.netns(), "eth0").unwrap()).collect();
        let macs = machines.iter().map(|machine| machine.mac()).collect();
        let mut bench = Self { session, taps, macs };
        for at in [At(0, None), At(1, None), At(2, Some(10)), At(2, Some(20)), At(3, None), At(4, None)] {
            bench.introduce(at);
        }
        bench
    }

    /// Heard by the slow path, and learned by both.
    fn introduce(&mut self, at: At) {
        let hello = eth(BROADCAST, self.macs[at.0], at.1).payload(ethertype::LOCAL_EXPERIMENTAL, b"here I am");
        self.taps[at.0].send(&hello).unwrap();
        self.drain();
    }

    fn drain(&mut self) -> Vec<Vec<Vec<u8>>> {
        let first = self.taps[0].drain(QUIET).unwrap();
        let rest = self.taps[1..].iter_mut().map(|tap| tap.drain(Duration::from_millis(20)).unwrap());
        std::iter::once(first).chain(rest).collect()
    }

    fn forwarded(&self) -> u64 {
        let counters = self.session.counters().unwrap();
        (0..PORTS.len()).map(|port| counters.forward(&format!("vnet{port}"))).sum()
    }

    /// A datagram between two stations arrives with the tag that `to` says and nowhere else; whether it was forwarded.
    fn arrives(&mut self, from: At, to: At, priority: u16) -> bool {
        let what = format!("{} {:?} to {} {:?}", from.0, from.1, to.0, to.1);
        let packet = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]).carry(&Udp::new(7, 8, what.as_bytes()));
        let (to_mac, from_mac) = (self.macs[to.0], self.macs[from.0]);
        let sent = eth(to_mac, from_mac, from.1.map(|vid| vid | priority)).ipv4(&packet);
        let expected = eth(to_mac, from_mac, to.1.map(|vid| vid | priority)).ipv4(&packet);
        let before = self.forwarded();
        self.taps[from.0].send(&sent).unwrap();
        let seen = self.drain();
        for (port, frames) in seen.iter().enumerate() {
            let wanted: &[Vec<u8>] = if port == to.0 { std::slice::from_ref(&expected) } else { &[] };
            assert_eq!(frames, wanted, "{what}: seen behind port {port}");
        }
        self.forwarded() > before
    }
}

fn eth(to: Mac, from: Mac, tci: Option<u16>) -> Eth {
    let eth = Eth::new(to, from);
    match tci {
        Some(tci) => eth.tag(ethertype::VLAN, tci),
        None => eth,
    }
}

#[test]
fn every_mode_to_every_other() {
    let mut bench = Bench::new();
    let access = [At(0, None), At(1, None), At(3, None)];
    for from in access {
        for to in access.into_iter().filter(|to| to.0 != from.0) {
            assert!(bench.arrives(from, to, 0), "{} to {}", from.0, to.0);
        }
        assert!(bench.arrives(from, At(2, Some(10)), 0), "{} to the trunk", from.0);
        assert!(bench.arrives(At(2, Some(10)), from, 0), "the trunk to {}", from.0);
    }
    // With a priority: it is lost with the tag, and stays with it.
    assert!(bench.arrives(At(2, Some(10)), At(0, None), 0xa000));
    assert!(bench.arrives(At(2, Some(20)), At(4, None), 0xa000));
    assert!(bench.arrives(At(4, None), At(2, Some(20)), 0));
    // Tagged with its native VLAN, from a native port.
    assert!(bench.arrives(At(3, Some(10)), At(0, None), 0));
}

#[test]
fn no_vlan_leaks_into_another() {
    let mut bench = Bench::new();
    let packet = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]).carry(&Udp::new(7, 8, b"secret"));
    // To a station of another VLAN, from an access port, from the trunk, with the wrong tag on an access port, without a tag on a
    // trunk that has no VLAN for it, and with one of a VLAN that the trunk does not carry.
    let attempts = [
        (At(0, None), 4),
        (At(4, None), 0),
        (At(2, Some(20)), 0),
        (At(0, Some(20)), 4),
        (At(0, Some(10)), 1),
        (At(2, None), 0),
        (At(2, Some(30)), 0),
    ];
    for (from, to) in attempts {
        let frame = eth(bench.macs[to], bench.macs[from.0], from.1).ipv4(&packet);
        bench.taps[from.0].send(&frame).unwrap();
        let seen = bench.drain();
        assert!(seen[to].is_empty(), "{} {:?} reached {to}", from.0, from.1);
    }
    let counters = bench.session.counters().unwrap();
    assert_eq!(counters.punt("vnet0", "vlan"), 2, "{:#}", counters.0);
    assert_eq!(counters.punt("vnet2", "vlan"), 2, "{:#}", counters.0);
}

/// Open vSwitch forgets a port's stations when its VLAN changes, and floods; so do we.
#[test]
fn a_port_that_changes_its_vlan_is_followed() {
    let mut bench = Bench::new();
    assert!(bench.arrives(At(0, None), At(1, None), 0));
    bench.session.lab().ovs().unwrap().vsctl(&["set", "port", "vnet1", "tag=20"]).unwrap();
    let control = bench.session.control().clone();
    let now = |vlan: &str| control.show("ports").is_ok_and(|ports| ports["ports"]["vnet1"]["vlan"] == vlan);
    wait_until("show ports tells the new VLAN", FOLLOWED, || now("access 20")).unwrap();
    let packet = Ipv4::new([10, 0, 0, 1], [10, 0, 0, 2]).carry(&Udp::new(7, 8, b"where are you?"));
    bench.taps[0].send(&eth(bench.macs[1], bench.macs[0], None).ipv4(&packet)).unwrap();
    assert!(bench.drain()[1].is_empty(), "VLAN 10 reaches a port of VLAN 20");
    bench.introduce(At(1, None));
    assert!(bench.arrives(At(1, None), At(4, None), 0));
    assert!(bench.arrives(At(2, Some(20)), At(1, None), 0));
}

/// What was learned of a station in a VLAN, elsewhere, does not outlive its binding; what was learned of others stays.
#[test]
fn a_station_that_is_bound_is_known_nowhere_else() {
    let bench = Bench::new();
    let rows = || bench.session.control().show("fdb").unwrap().as_array().unwrap().clone();
    let of = |port: usize| -> Vec<String> {
        let mac = format_mac(bench.macs[port]);
        let mine: Vec<_> = rows().into_iter().filter(|row| row["mac"] == mac.as_str()).collect();
        mine.iter().map(|row| format!("{} {} {}", row["port"], row["vlan"], row["kind"])).collect()
    };
    let (trunk, other) = (of(2), of(0));
    assert_eq!((trunk.len(), other.len()), (2, 1), "{:#?}", rows());
    let station = format!("[[station]]\nname = \"bee\"\nmac = \"{}\"\nport = \"vnet1\"\n", format_mac(bench.macs[2]));
    bench.session.rewrite(&format!("{TOPOLOGY}{station}")).unwrap();
    wait_until("only the binding is left", FOLLOWED, || of(2).len() == 1).unwrap();
    assert!(of(2)[0].contains("vnet1"), "{:#?}", rows());
    assert_eq!(of(0), other);
}
