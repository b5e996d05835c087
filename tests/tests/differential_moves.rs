//! Stations that move after a gratuitous ARP: named cases beside each slow path. Open vSwitch notes a gratuitous ARP from a port that is no
//! bond, but the note (`grat_arp_lock`, 5 s) is asked for only when the same ARP comes back through a bond
//! (lib/mac-learning.c `update_learning_table__`, ofproto-dpif-xlate.c `is_admissible`): on ordinary ports a station moves at once. Bonds
//! are ineligible. So fastbridge needs no rule of its own, and these cases say so.

#![allow(clippy::unwrap_used)]

use bridge_tests::differential::{self, Entry, Outcome, Step, Stream};
use bridge_tests::frame::{Arp, BROADCAST, Eth, Ipv4, Udp};
use bridge_tests::lab::{Lab, SlowPath};
use bridge_tests::session::Session;

const TOPOLOGY: &str = "[bridge]\nname = \"br0\"\nmanage = [\"vnet*\"]\n[policy]\ndefault = \"allow\"\n";
const STATION: [u8; 6] = [2, 0xfb, 0, 0, 9, 1];
const ADDRESS: [u8; 4] = [10, 17, 4, 91];

fn raw_lab(slow_path: SlowPath) -> Lab {
    Lab::builder(slow_path).raw_ports(3).build().unwrap()
}

fn step(port: usize, frame: Vec<u8>) -> Step {
    Step::Frame(Entry { port, frame, denied: false })
}

fn arp(port: usize, operation: u16) -> Step {
    let arp = Arp { operation, ..Arp::request(STATION, ADDRESS, ADDRESS) };
    step(port, Eth::new(BROADCAST, STATION).arp(&arp))
}

fn datagram(port: usize, to: [u8; 6], from: [u8; 6], number: u16) -> Step {
    step(
        port,
        Eth::new(to, from).ipv4(&Ipv4::new([10, 17, 4, 9], ADDRESS).carry(&Udp::new(number, 9, b"where is it?"))),
    )
}

/// The station announces itself on port 0, is spoken to, speaks from port 1 and is spoken to; twice, and back again.
fn stream(operation: u16, lab: &Lab) -> Stream {
    let peer = lab.machines()[2].mac();
    let mut steps = vec![arp(0, operation)];
    for (number, port) in [0, 0, 1, 1, 0, 1].into_iter().enumerate() {
        let number = 100 * (number as u16 + 1);
        steps.push(datagram(port, peer, STATION, number));
        steps.extend((1..4).map(|n| datagram(2, STATION, peer, number + n)));
        if number == 500 {
            steps.push(arp(0, operation));
        }
    }
    Stream { seed: 0, steps }
}

fn alone(slow_path: SlowPath, operation: u16) -> Outcome {
    let lab = raw_lab(slow_path);
    differential::run(&lab, &stream(operation, &lab)).unwrap()
}

fn follows_the_station(slow_path: SlowPath, operation: u16) {
    let what = format!("{slow_path:?}, ARP operation {operation}");
    let expected = alone(slow_path, operation);
    // Six rounds: three on each port, and each of the three frames to the station reaches it and nobody else.
    for port in ["vnet0", "vnet1"] {
        let datagrams = expected.left[port].keys().filter(|frame| frame[..6] == STATION).count();
        assert_eq!(datagrams, 9, "{what}, alone: {port}");
    }
    let session = Session::start(raw_lab(slow_path), TOPOLOGY).unwrap();
    let seen = differential::run(session.lab(), &stream(operation, session.lab())).unwrap();
    let differences = differential::compare(&expected, &seen);
    assert!(differences.is_empty(), "{what}: {differences:?}");
    let counters = session.counters().unwrap();
    assert!(counters.forward("vnet2") >= 12, "{what}: hardly accelerated: {:#}", counters.0);
    assert!(counters.punt("vnet0", "station-moved") + counters.punt("vnet1", "station-moved") >= 3, "{:#}", counters.0);
}

#[test]
fn after_a_gratuitous_request() {
    SlowPath::here().into_iter().for_each(|slow_path| follows_the_station(slow_path, 1));
}

#[test]
fn after_a_gratuitous_reply() {
    SlowPath::here().into_iter().for_each(|slow_path| follows_the_station(slow_path, 2));
}
