//! What the manager refuses, with its exit code and a sentence, and that a refusal leaves nothing behind. Needs root.

#![allow(clippy::unwrap_used)]

use bridge_tests::attached;
use bridge_tests::fastbridge::Control;
use bridge_tests::foreign::{Foreign, Place};
use bridge_tests::lab::{Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::steady::topology;

const XDP: &str = "[[port]]\nmatch = \"vnet*\"\nhook = \"xdp\"";

/// Refused with this code and these words, and nothing of it stays.
fn refuses(site: &Site, code: i32, words: &[&str]) {
    let (got, said) = site.refused().unwrap();
    assert_eq!(got, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn a_second_manager() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    let links = site.link_ids().unwrap();
    let (code, said) = site.refused().unwrap();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("another manager"), "{said}");
    assert_eq!(site.link_ids().unwrap(), links);
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn pins_that_are_not_on_a_bpffs() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let control = Control::new(&site.lab, &elsewhere.path().join("pins")).unwrap();
    let (code, said) = control.ends(&["run", "--topology", &site.topology().display().to_string()]).unwrap();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("not on a BPF file system") && said.contains("mount"), "{said}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn bridges_that_are_not_there() {
    for slow_path in SlowPath::here() {
        let site = Site::pair(slow_path, &topology("", "").replace("br0", "br7")).unwrap();
        refuses(&site, 3, &["no bridge br7", "[bridge] name"]);
    }
}

#[test]
fn a_bad_file() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("manager = 1", "")).unwrap();
    let position = format!("{}:5:1: ", site.topology().display());
    refuses(&site, 2, &[&position, "manager"]);
    site.write(&topology("", "").replace("from = \"internal\"", "from = \"extern\"")).unwrap();
    refuses(&site, 2, &[&format!("{}:", site.topology().display()), "extern"]);
}

#[test]
fn several_bridges_and_no_word_which() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    site.lab.add_linux_bridge("br1.7", [0x52, 0x54, 0, 0xff, 0xff, 2]).unwrap();
    let first = site.start().unwrap();
    let (code, said) = site.control().ends(&["show", "ports"]).unwrap();
    assert_eq!(code, Some(0), "{said}");
    site.write(&topology("", "").replace("br0", "br1.7").replace("vnet*", "tap*")).unwrap();
    let second = site.start().unwrap();
    assert_eq!(second.ready_ports(), 0);
    let (code, said) = site.control().ends(&["show", "ports"]).unwrap();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--bridge") && said.contains("br0") && said.contains("br1.7"), "{said}");
    assert_eq!(site.control().ends(&["show", "ports", "--bridge", "br1.7"]).unwrap().0, Some(0));
    drop((first, second));
    site.control().detach().unwrap();
    assert_eq!(site.control().ends(&["detach", "--bridge", "br1.7"]).unwrap().0, Some(0));
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn somebody_elses_xdp_program() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", XDP)).unwrap();
    let _foreign = Foreign::attach(site.lab.host(), "vnet1", Place::Xdp).unwrap();
    let before = attached::programs(site.lab.host()).unwrap();
    refuses(&site, 3, &["vnet1", "another XDP program"]);
    assert_eq!(attached::programs(site.lab.host()).unwrap(), before);
}

#[test]
fn tc_beside_the_userspace_datapath() {
    let rest = "[[port]]\nmatch = \"vnet1\"\nhook = \"tc\"";
    let site = Site::pair(SlowPath::OvsUserspace, &topology("", rest)).unwrap();
    refuses(&site, 3, &["vnet1", "twice"]);
}

#[test]
fn a_metrics_address_that_is_taken() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "[metrics]\nlisten = \"127.0.0.1:9417\"")).unwrap();
    let taken = site.lab.host().enter(|| std::net::TcpListener::bind("127.0.0.1:9417")).unwrap().unwrap();
    refuses(&site, 1, &["127.0.0.1:9417"]);
    drop(taken);
}

/// OVS's AF_XDP ports take their frames before any program of ours.
#[test]
fn ports_that_no_program_can_police() {
    let lab = Lab::builder(SlowPath::OvsUserspace).machine(MachineSpec::raw("a", "vnet0")).build().unwrap();
    lab.host().ip("link add xsk0 type veth peer name xsk1\nlink set xsk0 up\nlink set xsk1 up").unwrap();
    let add = ["add-port", "br0", "xsk0", "--", "set", "interface", "xsk0", "type=afxdp"];
    // vswitchd may fail to open it; the row alone says that the frames would pass us by.
    lab.ovs().unwrap().vsctl(&add).unwrap();
    let site = Site::new(lab, &topology("", "")).unwrap();
    refuses(&site, 3, &["xsk0", "unpoliced = true"]);
    site.write(&topology("", "[[port]]\nmatch = \"xsk*\"\nunpoliced = true")).unwrap();
    let manager = site.start().unwrap();
    assert_eq!(site.control().show("ports").unwrap()["unpoliced"][0], "xsk0");
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}
