//! What the bridge forgets otherwise than by ageing, or learns elsewhere, is forgotten here within a second: frames to such a station go where the
//! bridge alone would send them. Seen where they arrive. Needs root and Open vSwitch.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bridge_tests::capture::{Tap, inject};
use bridge_tests::frame::{BROADCAST, Eth};
use bridge_tests::lab::{BRIDGE_MAC, Builder, Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::{Mac, format_mac, wait_until};

/// One second is promised, and what was seen (14 to 211 ms) is printed; this is for a busy machine.
const BOUND: Duration = Duration::from_secs(3);
/// What a busy machine may need for everything else.
const LIMIT: Duration = Duration::from_secs(10);

/// Fewer than a port may have.
const STATIONS: u16 = 900;

/// Machines a, b and c on managed ports, d on a port that nobody manages.
fn site(slow_path: SlowPath) -> Site {
    let machines = [("a", "vnet0"), ("b", "vnet1"), ("c", "vnet2"), ("d", "other0")];
    let builder = Lab::builder(slow_path);
    let builder =
        machines.iter().fold(builder, |builder, (name, port)| Builder::machine(builder, MachineSpec::raw(name, port)));
    Site::new(builder.build().unwrap(), &topology("", "")).unwrap()
}

fn forwarded(site: &Site) -> u64 {
    site.verdicts("vnet0").unwrap().forward
}

/// Waits until the next frame of the stream to `b` arrives at a tap; how long after `since` that is.
fn arrives(site: &Site, tap: &mut Tap, since: Instant) -> Duration {
    let b = site.lab.machine("b").unwrap().mac();
    while since.elapsed() < LIMIT {
        if tap.receive(Duration::from_millis(100)).unwrap().is_some_and(|frame| frame[..6] == b) {
            break;
        }
    }
    since.elapsed()
}

/// The stream takes the fast path, and none of it reaches others than its receiver.
fn settled(site: &Site, others: &mut [Tap]) {
    let (a, b) = site.machines().unwrap();
    wait_until("the stream is forwarded and reaches nobody else", LIMIT, || {
        introduce(a, b).unwrap();
        site.lab.settle().unwrap();
        others.iter_mut().for_each(|tap| drop(tap.drain(Duration::from_millis(20)).unwrap()));
        let before = forwarded(site);
        std::thread::sleep(Duration::from_millis(200));
        forwarded(site) > before && others.iter_mut().all(|tap| tap.receive(Duration::ZERO).unwrap().is_none())
    })
    .unwrap();
}

fn taps(site: &Site) -> [Tap; 2] {
    ["c", "d"].map(|name| Tap::open(site.lab.machine(name).unwrap().netns(), "eth0").unwrap())
}

fn flushed(slow_path: SlowPath, flush: impl Fn(&Site)) {
    let site = site(slow_path);
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let mut others = taps(&site);
    let stream = Steady::start(a, b).unwrap();
    for _ in 0..3 {
        settled(&site, &mut others);
        let since = Instant::now();
        flush(&site);
        // Nobody has heard of b since.
        let took = arrives(&site, &mut others[0], since);
        eprintln!("{slow_path:?}: flooded {took:?} after the flush");
        assert!(took < BOUND, "{slow_path:?}: {took:?}");
    }
    settled(&site, &mut others);
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{slow_path:?}: {arrived:?}");
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
}

#[test]
fn a_flush_of_open_vswitchs_fdb() {
    flushed(SlowPath::ovs(), |site| site.lab.flush_fdb().unwrap());
}

#[test]
fn a_flush_of_a_linux_bridges_fdb() {
    flushed(SlowPath::LinuxBridge, |site| site.lab.flush_fdb().unwrap());
}

#[test]
fn a_flush_of_one_port_of_a_linux_bridge() {
    flushed(SlowPath::LinuxBridge, |site| {
        site.lab.host().ip("link set vnet1 type bridge_slave fdb_flush").unwrap();
    });
}

/// Stations that speak for the first time while the manager compares: Open vSwitch learns them a moment after us, and they stay. Seen to fail
/// with a comparison of one look: a few of them were gone.
#[test]
fn what_is_on_its_way_to_open_vswitch_is_not_forgotten() {
    let site = site(SlowPath::ovs());
    let manager = site.start().unwrap();
    let [a, c, d] = ["a", "c", "d"].map(|name| site.lab.machine(name).unwrap().netns());
    let hello = |mac: Mac| Eth::new(BROADCAST, mac).payload(0x88b5, &[0; 46]);
    let wanderer = hello([2, 0, 0, 1, 0, 0]);
    let new = |number: u16| [2, 0, 0, 0, number.to_be_bytes()[0], number.to_be_bytes()[1]];
    for number in 0..STATIONS {
        if number % 20 == 0 {
            // Each beat finds that a station has moved, and compares.
            let netns = if number % 40 == 0 { c } else { d };
            inject(netns, "eth0", &[&wanderer]).unwrap();
        }
        inject(a, "eth0", &[&hello(new(number))]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    site.lab.settle().unwrap();
    // Two more beats: nothing is compared any more.
    std::thread::sleep(Duration::from_secs(1));
    let fdb = site.control().show("fdb").unwrap().to_string();
    let gone: Vec<_> = (0..STATIONS).map(|number| format_mac(new(number))).filter(|mac| !fdb.contains(mac)).collect();
    assert_eq!(gone, Vec::<String>::new());
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
}

/// b appears behind a port that no program sees: the bridge sends there, and goes on to do so after we have shown it our stations.
#[test]
fn a_station_that_moves_to_a_port_that_nobody_manages() {
    for slow_path in SlowPath::here() {
        let site = site(slow_path);
        match site.lab.ovs() {
            Some(ovs) => _ = ovs.vsctl(&["set", "bridge", "br0", "other-config:mac-aging-time=15"]).unwrap(),
            None => _ = site.lab.host().ip("link set br0 type bridge ageing_time 1500").unwrap(),
        }
        let manager = site.start().unwrap();
        let (a, b) = site.machines().unwrap();
        introduce(a, b).unwrap();
        let mut others = taps(&site);
        let stream = Steady::start(a, b).unwrap();
        settled(&site, &mut others);
        // To the host: no managed port sees it leave.
        let moved = Eth::new(BRIDGE_MAC, b.mac()).payload(0x88b5, &[0; 46]);
        let since = Instant::now();
        inject(site.lab.machine("d").unwrap().netns(), "eth0", &[&moved]).unwrap();
        let took = arrives(&site, &mut others[1], since);
        eprintln!("{slow_path:?}: {took:?} after the move");
        assert!(took < BOUND, "{slow_path:?}: {took:?}");
        // A third of the ageing time: stations are shown to the bridge.
        std::thread::sleep(Duration::from_secs(7));
        others.iter_mut().for_each(|tap| drop(tap.drain(Duration::ZERO).unwrap()));
        let before = forwarded(&site);
        assert!(arrives(&site, &mut others[1], Instant::now()) < BOUND, "{slow_path:?}: the station was moved back");
        assert_eq!(forwarded(&site), before, "{slow_path:?}");
        drop(stream);
        assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    }
}
