//! Interfaces that come, go, come back, change and belong to others, while frames run. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bridge_tests::capture::inject;
use bridge_tests::fastbridge::Fastbridge;
use bridge_tests::lab::{Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, frame, introduce, topology};
use bridge_tests::wait_until;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);

fn port(site: &Site, name: &str) -> Value {
    site.control().show("ports").unwrap()["ports"][name].clone()
}

fn attached(site: &Site, name: &str) -> bool {
    port(site, name)["attached"] == true
}

fn done(site: &Site, manager: Fastbridge) {
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

fn comes_and_goes(slow_path: SlowPath) {
    let mut site = Site::pair(slow_path, &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 2);
    let links = site.link_ids().unwrap().len();
    site.lab.add_machine(MachineSpec::raw("c", "vnet2")).unwrap();
    let since = Instant::now();
    let eligible = || port(&site, "vnet2")["eligible"] == true && attached(&site, "vnet2");
    wait_until("the new port takes part", LIMIT, eligible).unwrap();
    eprintln!("{slow_path:?}: policed and eligible {:?} after it joined", since.elapsed());
    let (a, c) = (site.lab.machine("a").unwrap(), site.lab.machine("c").unwrap());
    introduce(a, c).unwrap();
    let stream = Steady::start(c, a).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{slow_path:?}: {arrived:?}");
    assert!(site.verdicts("vnet2").unwrap().forward >= u64::from(arrived.sent));

    let before = site.lab.host().ifindex("vnet2").unwrap().unwrap();
    let stream = Steady::start(a, site.lab.machine("b").unwrap()).unwrap();
    let after = site.lab.recreate_port("c").unwrap();
    assert_ne!(before, after);
    let renewed = || port(&site, "vnet2")["ifindex"] == after && port(&site, "vnet2")["eligible"] == true;
    wait_until("the port is known under its new index", LIMIT, renewed).unwrap();
    assert!(attached(&site, "vnet2"));
    assert_eq!(site.link_ids().unwrap().keys().filter(|name| name.starts_with(&format!("{before}-"))).count(), 0);
    // Another port of the same name: nothing of the old one's counts.
    assert!(site.verdicts("vnet2").unwrap().total() <= 3, "{:?}", site.verdicts("vnet2").unwrap());
    introduce(site.lab.machine("a").unwrap(), site.lab.machine("c").unwrap()).unwrap();
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{slow_path:?}: {arrived:?}");

    site.lab.remove_machine("c").unwrap();
    wait_until("the port is forgotten", LIMIT, || port(&site, "vnet2").is_null()).unwrap();
    assert_eq!(site.link_ids().unwrap().len(), links);
    done(&site, manager);
}

#[test]
fn a_port_comes_and_goes_beside_a_linux_bridge() {
    comes_and_goes(SlowPath::LinuxBridge);
}

#[test]
fn a_port_comes_and_goes_beside_open_vswitch() {
    comes_and_goes(SlowPath::ovs());
}

/// A stream to a port that is deleted and created again: denied frames never arrive, and the stream is whole again after.
#[test]
fn the_receiver_is_recreated_under_traffic() {
    for rest in ["", "[[port]]\nmatch = \"vnet*\"\nhook = \"xdp\""] {
        let site = Site::pair(SlowPath::LinuxBridge, &topology("", rest)).unwrap();
        let manager = site.start().unwrap();
        let (a, b) = site.machines().unwrap();
        introduce(a, b).unwrap();
        let stream = Steady::start(a, b).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let index = site.lab.recreate_port("b").unwrap();
        // The stream's capture went with the interface.
        drop(stream);
        wait_until("the new port takes part", LIMIT, || port(&site, "vnet1")["ifindex"] == index).unwrap();
        wait_until("it is eligible", LIMIT, || port(&site, "vnet1")["eligible"] == true).unwrap();
        introduce(a, b).unwrap();
        let before = site.verdicts("vnet0").unwrap().forward;
        let stream = Steady::start(a, b).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let arrived = stream.finish().unwrap();
        assert!(arrived.is_clean(), "{arrived:?}");
        assert!(site.verdicts("vnet0").unwrap().forward >= before + u64::from(arrived.sent));
        done(&site, manager);
    }
}

/// Slots have nothing to do with indexes.
#[test]
fn interface_indexes_above_255() {
    let lab = Lab::builder(SlowPath::LinuxBridge).machine(MachineSpec::raw("a", "vnet0")).build().unwrap();
    lab.host()
        .ip("link add vnet1 index 70000 type veth peer name peer1\nlink set vnet1 up\nlink set peer1 up")
        .unwrap();
    lab.add_port("vnet1").unwrap();
    let site = Site::new(lab, &topology("", "[[port]]\nmatch = \"vnet*\"\nhook = \"xdp\"")).unwrap();
    let manager = site.start().unwrap();
    assert_eq!(port(&site, "vnet1")["ifindex"], 70_000);
    let a = site.lab.machine("a").unwrap();
    let b = [0x52, 0x54, 0, 0, 0, 9];
    let mut tap = bridge_tests::capture::Tap::open(site.lab.host(), "peer1").unwrap();
    inject(site.lab.host(), "peer1", &[&frame(b, a.mac(), true, 0)]).unwrap();
    for number in 0..10 {
        inject(a.netns(), "eth0", &[&frame(a.mac(), b, true, number)]).unwrap();
    }
    assert_eq!(tap.drain(Duration::from_millis(300)).unwrap().len(), 10);
    assert!(site.verdicts("vnet0").unwrap().forward >= 9);
    done(&site, manager);
}

/// Ports and interfaces that are none of ours, whose indexes share their low bytes: what comes by the latter was judged nowhere.
#[test]
fn indexes_that_share_their_low_bytes_are_kept_apart() {
    let lab = Lab::builder(SlowPath::LinuxBridge).machine(MachineSpec::raw("a", "vnet0")).build().unwrap();
    let low = lab.host().ifindex("vnet0").unwrap().unwrap();
    // Beside vnet0, a near index and a far one: by their low byte, by their low two bytes.
    let links =
        [("vnet1", 1068), ("vnet2", 67_536), ("other0", low + 256), ("other1", 44), ("other2", 67_536 - 65_536)];
    for (name, index) in links {
        let add = format!("link add {name} index {index} type veth peer name p{name}\nlink set {name} up\n");
        lab.host().ip(&format!("{add}link set p{name} up")).unwrap();
        lab.add_port(name).unwrap();
    }
    let site = Site::new(lab, &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 3);
    let a = site.lab.machine("a").unwrap();
    let mut tap = bridge_tests::capture::Tap::open(a.netns(), "eth0").unwrap();
    inject(a.netns(), "eth0", &[&frame(a.mac(), [0x52, 0x54, 0, 0, 0, 8], true, 0)]).unwrap();
    for (name, _) in links {
        let from = [0x52, 0x54, 0, 0, 0, 9];
        let (allowed, denied) = (frame(from, a.mac(), true, 0), frame(from, a.mac(), false, 0));
        inject(site.lab.host(), &format!("p{name}"), &[&denied, &allowed]).unwrap();
        assert_eq!(tap.drain(Duration::from_millis(200)).unwrap(), [allowed], "from {name}");
    }
    let dropped = site.control().show("counters").unwrap()["ports"]["vnet0"]["egress"]["drop"]["policy"].clone();
    assert_eq!(dropped, 3, "those of the three others, and only those");
    done(&site, manager);
}

/// The stream between two other ports does not notice, nor leave the fast path; the port keeps its programs and is back after.
#[test]
fn a_port_goes_down_and_up_ten_times_a_second() {
    for slow_path in SlowPath::here() {
        let mut site = Site::pair(slow_path, &topology("", "")).unwrap();
        site.lab.add_machine(MachineSpec::raw("c", "vnet2")).unwrap();
        let manager = site.start().unwrap();
        let (a, b) = site.machines().unwrap();
        introduce(a, b).unwrap();
        let (links, before) = (site.link_ids().unwrap(), site.verdicts("vnet0").unwrap().forward);
        let stream = Steady::start(a, b).unwrap();
        for _ in 0..10 {
            site.lab.host().ip("link set vnet2 down").unwrap();
            std::thread::sleep(Duration::from_millis(50));
            site.lab.host().ip("link set vnet2 up").unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
        site.lab.set_link("c", true).unwrap();
        let arrived = stream.finish().unwrap();
        assert!(arrived.is_clean(), "{slow_path:?}: {arrived:?}");
        let forwarded = site.verdicts("vnet0").unwrap().forward - before;
        assert_eq!(forwarded, u64::from(arrived.sent), "{slow_path:?}: the others left the fast path");
        assert!(attached(&site, "vnet2"));
        assert_eq!(site.link_ids().unwrap(), links, "{slow_path:?}: programs were attached anew");
        let c = site.lab.machine("c").unwrap();
        introduce(a, c).unwrap();
        let works = || {
            introduce(a, c).unwrap();
            site.verdicts("vnet2").unwrap().forward > 0
        };
        wait_until("the port forwards again", LIMIT, works).unwrap();
        done(&site, manager);
    }
}

#[test]
fn a_rename_and_another_mtu_are_followed() {
    let mut site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    site.lab.rename_port("b", "vnet9").unwrap();
    wait_until("the new name is shown", LIMIT, || attached(&site, "vnet9")).unwrap();
    assert!(port(&site, "vnet1").is_null());
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    let long = || {
        let packet = bridge_tests::frame::Ipv4::new([10, 17, 4, 21], [10, 17, 4, 22]).raw(253, &[0; 1200]);
        inject(a.netns(), "eth0", &[&bridge_tests::frame::Eth::new(b.mac(), a.mac()).ipv4(&packet)]).unwrap();
    };
    long();
    assert_eq!(site.verdicts("vnet0").unwrap().punted("over-mtu"), 0);
    site.lab.host().ip("link set vnet9 mtu 1000").unwrap();
    let noticed = || {
        long();
        site.verdicts("vnet0").unwrap().punted("over-mtu") > 0
    };
    wait_until("the smaller MTU counts", LIMIT, noticed).unwrap();
    // Down meanwhile: before Linux 6.2 an interface that is up keeps its name.
    site.lab.host().ip("link set vnet9 down\nlink set vnet9 name other9\nlink set other9 up").unwrap();
    wait_until("a name that nobody manages", LIMIT, || port(&site, "vnet9").is_null()).unwrap();
    assert_eq!(site.programs().unwrap().keys().filter(|place| !place.starts_with("vnet0 ")).count(), 0);
    done(&site, manager);
}

/// Attached before it is a port of the bridge, then let in. What it had received before is told.
#[test]
fn an_interface_that_is_no_member_yet() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let host = site.lab.host();
    host.ip("link add vnet5 type veth peer name peer5\nlink set vnet5 up\nlink set peer5 up").unwrap();
    let (a, _) = site.machines().unwrap();
    let five = [0x52, 0x54, 0, 0, 0, 5];
    let send = |number| inject(host, "peer5", &[&frame(five, a.mac(), true, number)]).unwrap();
    (0..7).for_each(send);
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 3);
    assert!(port(&site, "vnet5")["before_attach"].as_u64().unwrap() >= 7, "{}", port(&site, "vnet5"));
    (0..5).for_each(send);
    assert_eq!(site.verdicts("vnet5").unwrap().dropped("not-member"), 5);
    let mut tap = bridge_tests::capture::Tap::open(a.netns(), "eth0").unwrap();
    site.lab.add_port("vnet5").unwrap();
    wait_until("the member is let in", LIMIT, || port(&site, "vnet5")["eligible"] == true).unwrap();
    inject(a.netns(), "eth0", &[&frame(a.mac(), five, true, 0)]).unwrap();
    (10..20).for_each(send);
    let arrived = tap.drain(Duration::from_millis(300)).unwrap();
    assert_eq!(arrived.iter().filter(|f| f[6..12] == five).count(), 10);
    assert!(site.verdicts("vnet5").unwrap().forward >= 9);
    site.lab.remove_port("vnet5").unwrap();
    let dropped = || {
        send(30);
        site.verdicts("vnet5").unwrap().dropped("not-member") > 5
    };
    wait_until("a member that left is dropped again", LIMIT, dropped).unwrap();
    done(&site, manager);
}

#[test]
fn a_member_of_another_bridge_is_left_alone() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    site.lab.add_linux_bridge("br1", [0x52, 0x54, 0, 0xff, 0xff, 2]).unwrap();
    let host = site.lab.host();
    host.ip("link add vnet6 type veth peer name peer6\nlink set vnet6 master br1\nlink set vnet6 up").unwrap();
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 2);
    assert!(port(&site, "vnet6").is_null());
    // It moves: to us, and away.
    host.ip("link set vnet6 master br0").unwrap();
    wait_until("it is ours now", LIMIT, || attached(&site, "vnet6")).unwrap();
    host.ip("link set vnet6 master br1").unwrap();
    wait_until("it is theirs again", LIMIT, || port(&site, "vnet6").is_null()).unwrap();
    assert_eq!(site.programs().unwrap().keys().filter(|place| place.starts_with("vnet6 ")).count(), 0);
    done(&site, manager);
}
