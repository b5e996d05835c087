//! The policy on real traffic, in the reference installation: what must be reached is reached, what must not be is not, stateful replies and
//! ICMP errors find their way back through routing and both hooks. Needs root and the binary.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use bridge_tests::capture::inject;
use bridge_tests::frame::{Eth, Ipv4, Udp};
use bridge_tests::lab::SlowPath;
use bridge_tests::netns::Netns;
use bridge_tests::reference;
use bridge_tests::session::Session;
use bridge_tests::transfer::transfer;

const REFERENCE: &str = include_str!("../fixtures/reference.toml");
const LIMIT: Duration = Duration::from_millis(700);
const MEGABYTE: usize = 1 << 20;

/// The installation after the repair, with fastbridge on; `hook` for every port.
fn installation(slow_path: SlowPath, hook: &str) -> Session {
    let ports = format!("[[port]]\nmatch = \"*\"\nhook = \"{hook}\"\nrole = \"auto\"\n");
    Session::start(reference::after(slow_path).unwrap(), &format!("{REFERENCE}\n{ports}")).unwrap()
}

fn ways() -> [(SlowPath, &'static str); 3] {
    [(SlowPath::LinuxBridge, "auto"), (SlowPath::LinuxBridge, "xdp"), (SlowPath::ovs(), "auto")]
}

fn netns<'a>(session: &'a Session, name: &str) -> &'a Netns {
    session.lab().netns(name).unwrap()
}

/// Whether a TCP connection opens, and an answer comes through it.
fn connects(from: &Netns, to: &Netns, address: &str) -> bool {
    let address: SocketAddr = address.parse().unwrap();
    let listener = to.enter(|| TcpListener::bind(address).unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let Ok(mut client) = from.enter(|| TcpStream::connect_timeout(&address, LIMIT)).unwrap() else { return false };
    let mut server = None;
    bridge_tests::wait_until("the connection arrives", LIMIT, || {
        server = listener.accept().ok();
        server.is_some()
    })
    .unwrap();
    let (mut server, _) = server.unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    server.write_all(b"welcome").unwrap();
    let mut words = [0; 7];
    client.read_exact(&mut words).is_ok() && words == *b"welcome"
}

/// Sends one datagram; what came back, if anything did. `answer`: somebody listens there and sends it back.
fn ask(from: &Netns, to: &Netns, address: &str, size: usize, answer: bool) -> std::io::Result<usize> {
    let address: SocketAddr = address.parse().unwrap();
    let server = answer.then(|| to.enter(|| UdpSocket::bind(address).unwrap()).unwrap());
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let client = from.enter(|| UdpSocket::bind(any).unwrap()).unwrap();
    client.connect(address)?;
    client.set_read_timeout(Some(LIMIT))?;
    client.send(&vec![7; size])?;
    if let Some(server) = server {
        server.set_read_timeout(Some(LIMIT))?;
        let mut buffer = vec![0; 65_536];
        let (length, peer) = server.recv_from(&mut buffer)?;
        assert_eq!(buffer[..length], vec![7; size]);
        server.send_to(&buffer[..length], peer)?;
    }
    client.recv(&mut vec![0; 65_536])
}

/// Mission: the five places, from each master; with the policy in force.
#[test]
fn the_masters_reach_the_five_targets() {
    for (slow_path, hook) in ways() {
        let session = installation(slow_path, hook);
        assert_eq!(session.manager().ready_ports(), 8);
        for probe in reference::probe(session.lab(), &reference::MASTERS).unwrap() {
            assert!(probe.ok, "{slow_path:?}, {hook}: {probe}\n{:#}", session.counters().unwrap().0);
        }
        assert_eq!(session.counters().unwrap().drops(), [].into(), "{slow_path:?}, {hook}");
        assert_eq!(session.manager().errors_in_log(), Vec::<String>::new());
    }
}

/// "internal to any" is stateful: answers come in, openers do not. Seen to fail with `flow::passes` never asked.
#[test]
fn the_internet_answers_but_does_not_open() {
    for (slow_path, hook) in ways() {
        let what = format!("{slow_path:?}, {hook}");
        let session = installation(slow_path, hook);
        let [master, freeipa, internet] = ["master1", "freeipa1", "internet"].map(|name| netns(&session, name));
        assert!(connects(master, internet, "203.0.113.8:443"), "{what}");
        assert_eq!(ask(master, internet, "203.0.113.8:53", 100, true).unwrap(), 100, "{what}");
        let flows = session.control().show("flows").unwrap().to_string();
        for word in ["internal-any", "10.17.4.21", "203.0.113.8", "\"tcp\"", "\"udp\"", "vnet2"] {
            assert!(flows.contains(word), "{what}: no {word} in {flows}");
        }
        let before = session.counters().unwrap();
        assert!(!connects(internet, master, "10.17.4.21:6443"), "{what}");
        assert!(!connects(internet, freeipa, "10.17.3.11:53"), "{what}");
        assert!(ask(internet, master, "10.17.4.21:5353", 10, false).is_err(), "{what}");
        let after = session.counters().unwrap();
        let denied = after.dropped(reference::UPLINK, "policy") - before.dropped(reference::UPLINK, "policy");
        // Two openings and a datagram; a SYN may come again.
        assert!(denied >= 3, "{what}: {:#}", after.0);
        // Reaching each other inside, and the LAN, needs no flow.
        assert!(connects(freeipa, master, "10.17.4.21:22"), "{what}");
        assert!(connects(netns(&session, "router"), master, "10.17.4.21:6443"), "{what}");
        assert_eq!(session.counters().unwrap().drops().keys().collect::<Vec<_>>(), ["policy"], "{what}");
    }
}

/// Errors about an allowed flow come back, from places that may open nothing. Seen to fail with `quoted` never asked.
#[test]
fn icmp_errors_about_a_flow_pass() {
    for (slow_path, hook) in ways() {
        let what = format!("{slow_path:?}, {hook}");
        let session = installation(slow_path, hook);
        let [master, internet] = ["master1", "internet"].map(|name| netns(&session, name));
        let refused = ask(master, internet, "203.0.113.8:9", 10, false).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{what}: port unreachable: {refused}");
        // A place behind the internet: the third hop is the internet's machine, in no zone.
        netns(&session, "router").ip("route add 198.51.100.0/24 via 203.0.113.8").unwrap();
        internet.sysctl("ipv4/ip_forward", "1").unwrap();
        for (hops, from) in [("1", "10.17.4.1"), ("2", "192.168.0.1"), ("3", "203.0.113.8")] {
            let said = master
                .command("ping")
                .unwrap()
                .args(["-n", "-c1", "-W1", "-t", hops, "198.51.100.9"])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(said.contains(&format!("From {from}")) && said.contains("exceeded"), "{what}, {hops} hops: {said}");
        }
        // One about nothing that was ever sent is dropped.
        let quoted = Ipv4::new([10, 17, 4, 21], [203, 0, 113, 8]).carry(&Udp::new(4444, 4444, b""));
        let error =
            Ipv4::new([203, 0, 113, 8], [10, 17, 4, 21]).carry(&bridge_tests::frame::Icmp::error(3, 3, &quoted));
        let before = session.counters().unwrap().dropped(reference::UPLINK, "policy");
        let frame = Eth::new(bridge_tests::lab::BRIDGE_MAC, reference::ROUTER_MAC).ipv4(&error);
        inject(netns(&session, "router"), "lan0", &[&frame]).unwrap();
        let dropped = || session.counters().unwrap().dropped(reference::UPLINK, "policy") == before + 1;
        bridge_tests::wait_until("the forged error is dropped", LIMIT, dropped).unwrap();
    }
}

/// What no zone holds may not speak, what pretends to be the host is told apart. Seen to fail with
/// `Drop::HostSpoof` taken out of `policy::judge_ip`.
#[test]
fn undeclared_and_forged_sources_are_dropped() {
    for (slow_path, hook) in ways() {
        let what = format!("{slow_path:?}, {hook}");
        let session = installation(slow_path, hook);
        let lab = session.lab();
        for (name, address) in [("master1", "172.16.0.21/24"), ("master2", "172.16.0.22/24")] {
            netns(&session, name).ip(&format!("addr add {address} dev eth0")).unwrap();
        }
        assert!(!lab.machine("master1").unwrap().ping("172.16.0.22").unwrap().ok, "{what}");
        assert!(lab.machine("master1").unwrap().ping("10.17.4.22").unwrap().ok, "{what}");
        let [from, to] = ["master1", "master2"].map(|name| lab.machine(name).unwrap().mac());
        let spoof = Ipv4::new([10, 17, 4, 1], [10, 17, 4, 22]).carry(&Udp::new(1, 2, b"from the gateway"));
        inject(netns(&session, "master1"), "eth0", &[&Eth::new(to, from).ipv4(&spoof)]).unwrap();
        let gateway = Ipv4::new([10, 17, 4, 21], [10, 17, 4, 22]).carry(&Udp::new(1, 2, b"as the gateway"));
        let mac = bridge_tests::lab::BRIDGE_MAC;
        inject(netns(&session, "master1"), "eth0", &[&Eth::new(to, mac).ipv4(&gateway)]).unwrap();
        let seen = || {
            let counters = session.counters().unwrap();
            let count = |reason| counters.dropped("vnet2", reason);
            (count("policy"), count("host-spoof"), count("station-elsewhere"))
        };
        bridge_tests::wait_until("all is counted", LIMIT, || seen() == (1, 1, 1))
            .unwrap_or_else(|e| panic!("{what}: {e}: {:?}", seen()));
    }
}

/// Whole streams, every byte compared: along a switched and a routed path, and datagrams in fragments.
#[test]
fn bulk_and_fragments_arrive_whole() {
    for (slow_path, hook) in ways() {
        let what = format!("{slow_path:?}, {hook}");
        let session = installation(slow_path, hook);
        let [master, other, freeipa, internet] =
            ["master1", "master2", "freeipa1", "internet"].map(|name| netns(&session, name));
        for (to, address) in [(other, "10.17.4.22:5001"), (freeipa, "10.17.3.11:5001"), (internet, "203.0.113.8:5001")]
        {
            let took =
                transfer(master, to, address, 50 * MEGABYTE).unwrap_or_else(|e| panic!("{what}: {address}: {e}"));
            eprintln!("{what}: 50 MiB to {address} in {took:?}");
        }
        for (to, address) in [(other, "10.17.4.22:5002"), (freeipa, "10.17.3.11:5002")] {
            assert_eq!(ask(master, to, address, 9000, true).unwrap(), 9000, "{what}: {address}");
        }
        let counters = session.counters().unwrap();
        // Super-frames of 64 KB: few frames.
        assert!(counters.forward("vnet2") > 500, "{what}: {:#}", counters.0);
        assert_eq!(counters.drops(), [].into(), "{what}");
    }
}
