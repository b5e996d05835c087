//! The whole product on real traffic: the binary beside a bridge, judged on the receiving side.
#![allow(clippy::unwrap_used, missing_docs)]

use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::Control,
    lab::{Lab, MachineSpec, SlowPath, kernel},
};

const POLICY: &str = r#"
[bridge]
name = "br0"
manage = ["vnet*"]
[policy]
default = "deny"
[[policy.zone]]
name = "internal"
prefixes = ["10.17.0.0/16"]
[[policy.rule]]
id = "internal"
from = "internal"
to = "internal"
action = "allow"
"#;

fn two(slow_path: SlowPath) -> Lab {
    Lab::builder(slow_path)
        .machine(MachineSpec::new("a", "vnet0").address("10.17.4.21/24"))
        .machine(MachineSpec::new("b", "vnet1").address("10.17.4.22/24"))
        .build()
        .unwrap()
}

fn forwards(slow_path: SlowPath) {
    let lab = two(slow_path);
    let pins = Bpffs::mount().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), POLICY).unwrap();
    let control = Control::new(&lab, pins.path()).unwrap();
    let fastbridge = control.start(file.path()).unwrap();
    assert_eq!(fastbridge.ready_ports(), 2);
    for _ in 0..5 {
        let probe = lab.machine("a").unwrap().ping("10.17.4.22").unwrap();
        assert!(probe.ok, "{probe:?}\n{:#}", control.show("counters").unwrap());
    }
    let counters = control.show("counters").unwrap();
    for port in ["vnet0", "vnet1"] {
        let counted = &counters["ports"][port];
        // Before 6.3 the kernel does not tell which veth takes frames from XDP.
        let untold = slow_path == SlowPath::OvsUserspace && kernel().unwrap() < (6, 3);
        let counted = if untold { &counted["punt"]["no-xdp-target"] } else { &counted["forward"] };
        assert!(counted.as_u64().unwrap() >= 4, "{counters:#}");
    }
    drop(fastbridge);
    control.detach().unwrap();
}

#[test]
fn forwards_beside_a_linux_bridge() {
    forwards(SlowPath::LinuxBridge);
}

#[test]
fn forwards_beside_open_vswitch() {
    forwards(SlowPath::OvsUserspace);
}
