//! The traps of design section 3 that concern single frames and hooks; those of offloads, ageing and VLAN tags have files of their own. Judged by
//! captures on the receiving side. Needs root and the binary.
//!
//! Cases that name a mutation were seen to fail with it. Elsewhere: attach by name, pins, restarts, netlink
//! attached XDP and private mounts (`lab_manager_*`); every frame once beside user space (`differential` as well).

#![allow(clippy::unwrap_used)]

mod trap_bench;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use bridge_tests::bpffs::Bpffs;
use bridge_tests::capture::{Tap, inject};
use bridge_tests::fastbridge::Control;
use bridge_tests::foreign::{Foreign, Place};
use bridge_tests::frame::{BROADCAST, Eth, ethertype};
use bridge_tests::lab::{Lab, MachineSpec, SlowPath};
use bridge_tests::session::Session;
use bridge_tests::site::Site;
use bridge_tests::skip;
use bridge_tests::steady;
use bridge_tests::wait_until;
use nix::sys::signal::Signal;
use trap_bench::{ALLOW, Bench, INTERNAL, QUIET, topology};

/// Row "TC ingress beside the userspace datapath": with TC ingress there (`Hook::resolve` giving TC) every frame comes twice.
#[test]
fn every_frame_is_delivered_once() {
    for (slow_path, hook) in
        [(SlowPath::ovs(), "auto"), (SlowPath::LinuxBridge, "auto"), (SlowPath::LinuxBridge, "xdp")]
    {
        let mut bench = Bench::new(slow_path, 3, &topology(hook, ALLOW));
        for number in 0..200_u32 {
            bench.send(0, &bench.datagram(0, 1, &number.to_be_bytes()));
        }
        let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let drained = bench.drain();
        drained[1].iter().for_each(|frame| *seen.entry(frame.clone()).or_default() += 1);
        assert_eq!(seen.len(), 200, "{slow_path:?}, {hook}");
        assert!(seen.values().all(|count| *count == 1), "{slow_path:?}, {hook}: {seen:?}");
        assert_eq!((drained[0].len(), drained[2].len()), (0, 0), "{slow_path:?}, {hook}");
        assert!(bench.session.counters().unwrap().forward("vnet0") >= 198);
    }
}

/// Open vSwitch's userspace datapath hands a port up to 32 frames with one sendmmsg(2), and gives up those behind the first that the kernel
/// reports as dropped (lib/netdev-linux.c, netdev_linux_sock_batch_send). With `TC_ACT_SHOT` in `fastbridge_out` one of ten arrived.
#[test]
fn a_denied_frame_takes_no_other_with_it() {
    let lab = Lab::builder(SlowPath::ovs()).machine(MachineSpec::raw("a", "vnet0"));
    let lab = lab.machine(MachineSpec::raw("d", "other0")).build().unwrap();
    let site = Site::new(lab, &steady::topology("", "")).unwrap();
    let manager = site.start().unwrap();
    let [a, d] = ["a", "d"].map(|name| site.lab.machine(name).unwrap());
    steady::introduce(a, d).unwrap();
    site.lab.settle().unwrap();
    let mut tap = Tap::open(a.netns(), "eth0").unwrap();
    let of = |allowed| (0..10).map(|number| steady::frame(d.mac(), a.mac(), allowed, number)).collect::<Vec<_>>();
    let (allowed, denied) = (of(true), of(false));
    let all: Vec<&[u8]> = allowed.iter().zip(&denied).flat_map(|(yes, no)| [&yes[..], &no[..]]).collect();
    let ovs = site.lab.ovs().unwrap();
    // So that it finds all of them at once, as a busy one does.
    ovs.signal_vswitchd(Signal::SIGSTOP).unwrap();
    inject(d.netns(), "eth0", &all).unwrap();
    ovs.signal_vswitchd(Signal::SIGCONT).unwrap();
    assert_eq!(tap.drain(QUIET).unwrap(), allowed);
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
}

/// Row "TC redirect has no MTU check" (and XDP's): without `OverMtu` in `forward::obstacle` the frame arrives.
#[test]
fn a_frame_over_the_mtu_leaves_no_port() {
    for (slow_path, hook) in
        [(SlowPath::LinuxBridge, "auto"), (SlowPath::LinuxBridge, "xdp"), (SlowPath::ovs(), "auto")]
    {
        let lab = (0..2).fold(Lab::builder(slow_path), |lab, n| {
            lab.machine(MachineSpec::raw(&format!("raw{n}"), &format!("vnet{n}")).mtu(3400))
        });
        let lab = lab.build().unwrap();
        // The machine behind would take it: only the port says 1500.
        lab.host().ip("link set vnet1 mtu 1500").unwrap();
        let mut bench = Bench::on(lab, &topology(hook, ALLOW));
        let what = format!("{slow_path:?}, {hook}");
        // 20 bytes of IP, 8 of UDP: 1500, then one more.
        let [fits, over, long] = [1472, 1473, 3000].map(|length| bench.datagram(0, 1, &vec![7; length]));
        for (frame, forwarded) in [(&fits, true), (&over, false), (&long, false)] {
            // One byte too many still fits where a tag would have (is_skb_forwardable): the slow path's decision, not ours.
            let certain = frame != &over;
            let before = bench.session.counters().unwrap();
            bench.send(0, frame);
            let arrived = bench.drain()[1].contains(frame);
            let after = bench.session.counters().unwrap();
            let punted = after.punt("vnet0", "over-mtu") - before.punt("vnet0", "over-mtu");
            assert!(!certain || arrived == forwarded, "{what}: {} bytes", frame.len());
            assert_eq!(
                (after.forward("vnet0") - before.forward("vnet0"), punted),
                if forwarded { (1, 0) } else { (0, 1) }
            );
        }
    }
}

/// Row "`TC_ACT_OK` as pass": what we punt, a later program still judges. With `TC_ACT_OK` for `NEXT` everything gets past it.
#[test]
fn a_later_program_still_sees_what_is_punted() {
    if skip::without_tcx() {
        return;
    }
    for (hook, place, port) in [
        ("auto", Place::TcxIngressDropping, "vnet0"),
        ("xdp", Place::TcxIngressDropping, "vnet0"),
        ("auto", Place::TcxEgressDropping, "vnet1"),
    ] {
        let mut bench = Bench::new(SlowPath::LinuxBridge, 2, &topology(hook, ALLOW));
        let punted = Eth::new(BROADCAST, bench.macs[0]).payload(ethertype::LOCAL_EXPERIMENTAL, b"punted");
        bench.send(0, &punted);
        assert_eq!(bench.arrived(1), [&punted[..]], "hook {hook}");
        let foreign = Foreign::attach(bench.session.lab().host(), port, place).unwrap();
        bench.send(0, &punted);
        assert_eq!(bench.drain()[1], Vec::<Vec<u8>>::new(), "hook {hook}, {place:?}");
        drop(foreign);
        bench.send(0, &punted);
        assert_eq!(bench.arrived(1), [&punted[..]], "hook {hook}");
    }
}

/// Row "clsact needs its qdisc; an `ingress` qdisc excludes it": refused, with a sentence, and nothing stays. Seen to fail: the kernel takes
/// filters of clsact's egress under an `ingress` qdisc and puts them into the ingress chain.
#[test]
fn an_ingress_qdisc_is_refused_with_a_sentence() {
    let lab = Lab::builder(SlowPath::LinuxBridge).raw_ports(2).build().unwrap();
    lab.host().run("tc", &["qdisc", "add", "dev", "vnet1", "ingress"]).unwrap();
    let (pins, file) = (Bpffs::mount().unwrap(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(file.path(), topology("auto", ALLOW)).unwrap();
    let control = Control::new(&lab, pins.path()).unwrap();
    let mut command = control.command(&["run", "--topology"]).unwrap();
    command
        .arg(file.path())
        .env("FASTBRIDGE_NO_TCX", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let ended = wait_until("fastbridge refuses", Duration::from_secs(20), || child.try_wait().unwrap().is_some());
    if ended.is_err() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let shown =
        ["ingress", "egress"].map(|side| lab.host().run("tc", &["filter", "show", "dev", "vnet1", side]).unwrap());
    assert_eq!(output.status.code(), Some(3), "{said}\n{}\n{shown:?}", String::from_utf8_lossy(&output.stdout));
    assert!(said.contains("vnet1: its ingress qdisc excludes clsact"), "{said}");
    for port in ["vnet0", "vnet1"] {
        let left =
            ["ingress", "egress"].map(|side| lab.host().run("tc", &["filter", "show", "dev", port, side]).unwrap());
        assert!(!left.concat().contains("fastbridge"), "{port}: {left:?}");
    }
}

/// Row "redirect to an interface that is gone": its entries go with the event; what is sent to it is punted, not lost in the dark.
#[test]
fn stations_of_an_interface_that_is_gone_are_forgotten() {
    for slow_path in SlowPath::here() {
        let mut bench = Bench::new(slow_path, 3, &topology("auto", ALLOW));
        bench.send(0, &bench.datagram(0, 1, b"before"));
        assert_eq!(bench.drain()[1].len(), 1);
        let gone = bridge_tests::format_mac(bench.macs[1]);
        let fdb = || bench.session.control().show("fdb").unwrap().to_string();
        assert!(fdb().contains(&gone), "{}", fdb());
        bench.session.lab().host().ip("link del vnet1").unwrap();
        wait_until("the station is forgotten", Duration::from_secs(1), || !fdb().contains(&gone)).unwrap();
        let before = bench.session.counters().unwrap();
        bench.send(0, &bench.datagram(0, 1, b"after"));
        // The slow path has forgotten it as well, or soon will: it floods, or drops.
        bench.taps[2].drain(QUIET).unwrap();
        let after = bench.session.counters().unwrap();
        assert_eq!(after.forward("vnet0"), before.forward("vnet0"), "{slow_path:?}");
        assert_eq!(after.punt("vnet0", "unknown-destination") - before.punt("vnet0", "unknown-destination"), 1);
        assert!(after.0["ports"]["vnet1"].is_null(), "{slow_path:?}: {:#}", after.0);
    }
}

/// Row "the host answers ICMP redirects": the manager says so, in its log and in `show status`, while it is so: while the bridge or all
/// interfaces send them, the host forwards, and it has several subnets.
#[test]
fn redirects_are_warned_of() {
    let lab = Lab::builder(SlowPath::LinuxBridge).raw_ports(1).build().unwrap();
    for address in ["10.17.3.1/24", "10.17.4.1/24"] {
        lab.host_address(address).unwrap();
    }
    for (key, value) in [("ip_forward", "1"), ("conf/br0/send_redirects", "1")] {
        lab.host().sysctl(&format!("ipv4/{key}"), value).unwrap();
    }
    let session = Session::start(lab, &topology("auto", INTERNAL)).unwrap();
    let status = || session.control().show("status").unwrap()["remarks"].to_string();
    assert!(status().contains("br0.send_redirects"), "{}", status());
    assert!(session.manager().log().iter().any(|line| line.contains("WARN") && line.contains("ICMP redirects")));
    let host = session.lab().host();
    let set = |key: &str, value: &str| host.sysctl(&format!("ipv4/{key}"), value).unwrap();
    let told = |what: &str, expected: bool| {
        wait_until(what, Duration::from_secs(20), || status().contains("send_redirects") == expected).unwrap();
    };
    set("conf/br0/send_redirects", "0");
    told("neither says so", false);
    set("conf/all/send_redirects", "1");
    told("all interfaces do", true);
    set("ip_forward", "0");
    told("it does not forward", false);
    set("ip_forward", "1");
    told("it forwards", true);
    host.ip("addr del 10.17.3.1/24 dev br0").unwrap();
    told("one subnet is left", false);
}
