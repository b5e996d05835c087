//! Bonds, patch ports and tunnels beside ordinary ports of an Open vSwitch bridge: frames to and from them take the slow path, under the policy, and
//! the ordinary ports go on forwarding among themselves. Judged where frames arrive. Needs root and Open vSwitch.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::lab::{Builder, Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(10);

/// Machines a and b on ports of their own, d and d2 behind a bond, e on another bridge behind a patch; a tunnel that leads nowhere.
fn site() -> Site {
    let machines = [("a", "vnet0"), ("b", "vnet1"), ("d", "vnet2"), ("d2", "vnet3"), ("e", "other0")];
    let builder = Lab::builder(SlowPath::ovs());
    let builder =
        machines.iter().fold(builder, |builder, (name, port)| Builder::machine(builder, MachineSpec::raw(name, port)));
    let lab = builder.build().unwrap();
    let ovs = lab.ovs().unwrap();
    let other = format!("del-port other0 -- add-br br1 -- set bridge br1 {} -- add-port br1 other0", ovs.datapath());
    let commands = [
        "del-port vnet2 -- del-port vnet3 -- add-bond br0 bond0 vnet2 vnet3 bond_mode=active-backup other_config:bond-primary=vnet2",
        &other,
        "add-port br0 patch0 -- set interface patch0 type=patch options:peer=patch1",
        "add-port br1 patch1 -- set interface patch1 type=patch options:peer=patch0",
        "add-port br0 vnet9 -- set interface vnet9 type=vxlan options:remote_ip=203.0.113.1",
    ];
    for command in commands {
        ovs.vsctl(&command.split(' ').collect::<Vec<_>>()).unwrap();
    }
    Site::new(lab, &topology("", "")).unwrap()
}

fn forwarded(site: &Site, port: &str) -> u64 {
    site.verdicts(port).unwrap().forward
}

#[test]
fn bonds_patches_and_tunnels_are_left_to_open_vswitch() {
    let site = site();
    let manager = site.start().unwrap();
    let ports = site.control().show("ports").unwrap()["ports"].clone();
    for port in ["vnet2", "vnet3"] {
        let reasons = ports[port]["reasons"].as_array().unwrap().iter().filter_map(Value::as_str).collect::<Vec<_>>();
        assert_eq!(reasons, ["it is one of 2 interfaces of bond bond0"], "{port}");
        assert_eq!(ports[port]["attached"], true, "{port} is policed");
    }
    for port in ["patch0", "vnet9", "other0", "br0"] {
        assert!(ports[port].is_null(), "{port}: {ports:#}");
    }
    let machine = |name: &str| site.lab.machine(name).unwrap();
    let (a, b) = site.machines().unwrap();
    introduce(a, b).unwrap();
    for other in ["d", "e"] {
        // Open vSwitch chooses the bond's active interface, and learns, in its own time.
        let heard = || {
            introduce(a, machine(other)).unwrap();
            site.lab.settle().unwrap();
            let stream = Steady::start(a, machine(other)).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            stream.finish().unwrap().lost.is_empty()
        };
        wait_until(&format!("{other} is reached"), LIMIT, heard).unwrap();
        let before = forwarded(&site, "vnet0");
        for (from, to) in [(a, machine(other)), (machine(other), a)] {
            let stream = Steady::start(from, to).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            let arrived = stream.finish().unwrap();
            // A busy machine loses a few in Open vSwitch's userspace datapath.
            assert!(arrived.lost.len() < arrived.sent as usize / 2, "{other}: {arrived:?}");
            assert!(arrived.leaked.is_empty() && arrived.doubled.is_empty(), "{other}: {arrived:?}");
        }
        assert_eq!(forwarded(&site, "vnet0"), before, "{other}: to or from it the fast path was taken");
    }
    let before = forwarded(&site, "vnet0");
    introduce(b, a).unwrap();
    let stream = Steady::start(a, b).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let arrived = stream.finish().unwrap();
    assert!(arrived.is_clean(), "{arrived:?}");
    assert!(forwarded(&site, "vnet0") >= before + u64::from(arrived.sent), "the ordinary ports forward");
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
}
