//! What offloads do to a redirected frame (design section 3): partial checksums, super-frames, tunnels, peers without NAPI. Real stacks,
//! every byte of a transfer compared. Needs root and the binary.
//!
//! Seen to fail: with `has_full_checksum` taken as always true, TCP with offloads, through VXLAN, and the tunnels' ports; without the test
//! for `PORT_XDP_TARGET`, the peer without NAPI.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::capture::Tap;
use bridge_tests::frame::{Eth, Ipv4, Udp};
use bridge_tests::lab::{Lab, MachineSpec, SlowPath};
use bridge_tests::session::Session;
use bridge_tests::skip;
use bridge_tests::transfer::transfer;

const MEGABYTE: usize = 1 << 20;

fn topology(hook: &str) -> String {
    format!(
        "[bridge]\nname = \"br0\"\nmanage = [\"vnet*\"]\n[[port]]\nmatch = \"vnet*\"\nhook = \"{hook}\"\n[policy]\ndefault = \"allow\"\n"
    )
}

fn a() -> MachineSpec {
    MachineSpec::new("a", "vnet0").address("10.17.4.21/24").address("fd00::21/64")
}

fn b() -> MachineSpec {
    MachineSpec::new("b", "vnet1").address("10.17.4.22/24").address("fd00::22/64")
}

fn session(slow_path: SlowPath, hook: &str, machines: [MachineSpec; 2]) -> Session {
    let lab = machines.into_iter().fold(Lab::builder(slow_path), |lab, machine| lab.machine(machine)).build().unwrap();
    Session::start(lab, &topology(hook)).unwrap()
}

/// Both directions and families; the fast path must have carried most of it.
fn carries_tcp(session: &Session, what: &str) {
    let [a, b] = ["a", "b"].map(|name| session.lab().machine(name).unwrap().netns());
    for (from, to, address) in [(a, b, "10.17.4.22:5001"), (b, a, "10.17.4.21:5001"), (a, b, "[fd00::22]:5001")] {
        let took = transfer(from, to, address, 8 * MEGABYTE).unwrap_or_else(|e| panic!("{what}: {address}: {e}"));
        eprintln!("{what}: 8 MiB to {address} in {took:?}");
    }
    let counters = session.counters().unwrap();
    for port in ["vnet0", "vnet1"] {
        assert!(counters.forward(port) > 2 * counters.entered(port) / 3, "{what}: {:#}", counters.0);
    }
}

/// Rows "checksum offload + XDP redirect" and "GSO + XDP redirect". Without `has_full_checksum` in `forward::obstacle` no connection comes
/// about. (A super-frame of TCP always has a partial checksum, which keeps it from XDP before its length does; the length alone is
/// `lab_traps::a_frame_over_the_mtu_leaves_no_port`.)
#[test]
fn tcp_with_offloads_survives_xdp() {
    carries_tcp(&session(SlowPath::LinuxBridge, "xdp", [a(), b()]), "xdp, all offloads");
    let no_tso = ["tso", "off", "gso", "off"];
    carries_tcp(&session(SlowPath::LinuxBridge, "xdp", [a().offloads(&no_tso), b()]), "xdp, checksum offload alone");
}

/// Row "XDP on tap/veth and bulk TCP": the default hook is TC, which needs no help.
#[test]
fn tcp_with_offloads_over_tc() {
    let session = session(SlowPath::LinuxBridge, "auto", [a(), b()]);
    carries_tcp(&session, "tc, all offloads");
    let shown = session.control().show("ports").unwrap().to_string();
    assert!(shown.contains("\"tc\"") && !shown.contains("xdp"), "auto is TC on veths: {shown}");
}

/// Row "OVS userspace and veth offloads": there machines compute their own checksums.
#[test]
fn tcp_without_offloads_beside_userspace_ovs() {
    if skip::without(SlowPath::OvsUserspace) {
        return;
    }
    let session = session(SlowPath::OvsUserspace, "auto", [a(), b()]);
    carries_tcp(&session, "beside Open vSwitch");
}

/// Row "checksum offload", tunnels: a datagram to VXLAN's ports, or one without a checksum, may carry a partial one inside. Beside Open
/// vSwitch's user space no TC program counts it again, so the punt shows.
#[test]
fn tunnels_and_missing_checksums_are_not_redirected_by_xdp() {
    if skip::without(SlowPath::OvsUserspace) {
        return;
    }
    let lab = Lab::builder(SlowPath::OvsUserspace).raw_ports(2).build().unwrap();
    let session = Session::start(lab, &topology("auto")).unwrap();
    let [from, to] = [0, 1].map(|n| session.lab().machines()[n].mac());
    let mut taps = [0, 1].map(|n| Tap::open(session.lab().machines()[n].netns(), "eth0").unwrap());
    let datagram = |port, checksum: Option<u16>| {
        let udp = Udp::new(40_000, port, b"an inner frame, say");
        let udp = checksum.map_or(udp.clone(), |sum| udp.with_checksum(sum));
        Eth::new(to, from).ipv4(&Ipv4::new([10, 17, 4, 21], [10, 17, 4, 22]).carry(&udp))
    };
    taps[1]
        .send(&Eth::new(from, to).ipv4(&Ipv4::new([10, 17, 4, 22], [10, 17, 4, 21]).carry(&Udp::new(1, 2, b""))))
        .unwrap();
    taps[0].send(&datagram(9, None)).unwrap();
    taps[1].drain(Duration::from_millis(300)).unwrap();
    let punts = || session.counters().unwrap().punt("vnet0", "partial-checksum");
    for (number, port) in [4789, 8472, 6081, 4754].into_iter().enumerate() {
        taps[0].send(&datagram(port, None)).unwrap();
        assert_eq!(taps[1].drain(Duration::from_millis(300)).unwrap(), [datagram(port, None)]);
        assert_eq!(punts(), number as u64 + 1, "port {port}");
    }
    taps[0].send(&datagram(9, Some(0))).unwrap();
    assert_eq!(taps[1].drain(Duration::from_millis(300)).unwrap(), [datagram(9, Some(0))]);
    assert_eq!(punts(), 5, "no checksum at all");
    let before = session.counters().unwrap().forward("vnet0");
    taps[0].send(&datagram(9, None)).unwrap();
    assert_eq!(taps[1].drain(Duration::from_millis(300)).unwrap(), [datagram(9, None)]);
    assert_eq!(session.counters().unwrap().forward("vnet0"), before + 1, "an ordinary one is forwarded");
}

/// The same with a real tunnel: VXLAN without outer checksums, its inner TCP segments with partial ones and over-long.
#[test]
fn tcp_through_vxlan_survives_xdp() {
    let session = session(SlowPath::LinuxBridge, "xdp", [a(), b()]);
    let lab = session.lab();
    for (name, peer, own) in [("a", "10.17.4.22", "172.16.0.1/24"), ("b", "10.17.4.21", "172.16.0.2/24")] {
        let netns = lab.machine(name).unwrap().netns();
        netns
            .ip(&format!("link add vx0 type vxlan id 7 remote {peer} dstport 4789 noudpcsum\nlink set vx0 up"))
            .unwrap();
        netns.ip(&format!("addr add {own} dev vx0")).unwrap();
    }
    let [a, b] = ["a", "b"].map(|name| lab.machine(name).unwrap().netns());
    transfer(a, b, "172.16.0.2:5001", 8 * MEGABYTE).unwrap();
    transfer(b, a, "172.16.0.1:5001", 8 * MEGABYTE).unwrap();
    assert!(session.counters().unwrap().forward("vnet0") > 100);
}

/// Row "veth without NAPI on the peer". Without the test for `PORT_XDP_TARGET` nothing arrives at b.
#[test]
fn a_peer_without_napi_is_no_target_of_xdp() {
    if skip::without(SlowPath::OvsUserspace) {
        return;
    }
    for slow_path in SlowPath::here() {
        let session = session(slow_path, "xdp", [a(), b().gro(false)]);
        for target in ["10.17.4.22", "fd00::22"].repeat(3) {
            let probe = session.lab().machine("a").unwrap().ping(target).unwrap();
            assert!(probe.ok, "{slow_path:?}: {probe}\n{:#}", session.counters().unwrap().0);
        }
        let counters = session.counters().unwrap();
        // Towards a, whose peer polls, XDP forwards; towards b TC does, and beside user space nobody.
        assert!(counters.forward("vnet1") >= 4, "{slow_path:?}: {:#}", counters.0);
        match slow_path {
            SlowPath::OvsUserspace => assert!(counters.punt("vnet0", "no-xdp-target") >= 4, "{:#}", counters.0),
            _ => assert!(counters.forward("vnet0") >= 4, "{:#}", counters.0),
        }
        let status = session.control().show("status").unwrap().to_string();
        assert!(status.contains("cannot redirect to vnet1"), "the manager says so: {status}");
    }
}
