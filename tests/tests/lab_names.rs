//! Names that a kernel and Open vSwitch allow, and that tables, JSON and metrics could trip over: quotes, backslashes, control characters, spaces
//! that are none to C, anything beyond ASCII, bytes that are no text. Needs root and Open vSwitch.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use bridge_tests::lab::{Lab, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::steady::topology;
use bridge_tests::wait_until;

const LIMIT: Duration = Duration::from_secs(10);
const METRICS: &str = "127.0.0.1:9417";
const BRIDGE: &str = "br\u{2603}\u{e9}0";

/// At most 15 bytes, no white space of ASCII, neither slash nor colon (net/core/dev.c `dev_valid_name`).
const NAMES: [&str; 7] = [
    "q\"uo\"te",
    "back\\n\\slash",
    "a{b=\"c\"},d=",
    "em\u{2003}space",
    "snow\u{2603}m\u{e9}n",
    "esc\u{1b}[31m",
    "-dash",
];

fn topology_of(bridge: &str) -> String {
    let everything = topology("", &format!("[metrics]\nlisten = \"{METRICS}\"")).replace("manage = [\"vnet*\"]\n", "");
    everything.replace("name = \"br0\"", &format!("name = \"{bridge}\""))
}

/// A veth of that name; `ip -batch` would take it apart.
fn add_veth(lab: &Lab, name: &str, peer: &str) {
    lab.host().run("ip", &["link", "add", "name", name, "up", "type", "veth", "peer", "name", peer]).unwrap();
    lab.host().run("ip", &["link", "set", "dev", peer, "up"]).unwrap();
}

fn shown(site: &Site) -> BTreeSet<String> {
    let ports = site.control().show("ports").unwrap()["ports"].clone();
    let attached = ports.as_object().unwrap().iter().filter(|(_, port)| port["attached"] == true);
    attached.map(|(name, _)| name.clone()).collect()
}

fn page(site: &Site) -> String {
    let fetched = site.lab.host().enter(|| {
        let mut stream = TcpStream::connect(METRICS)?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page).map(|_| page)
    });
    fetched.unwrap().unwrap()
}

/// Values of a label, read as Prometheus' text format 0.0.4 says: between quotes, with `\\`, `\"` and `\n` for what they stand for.
fn label_values(page: &str, metric: &str, label: &str) -> BTreeSet<String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
    lines.map(|labels| labels_of(labels).into_iter().find(|(name, _)| name == label).unwrap().1).collect()
}

/// What stands between the braces, the closing one with a number behind it.
fn labels_of(mut rest: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    while let Some((name, after)) = rest.split_once("=\"") {
        let (mut value, mut characters) = (String::new(), after.chars());
        loop {
            match characters.next().expect("an end of the value") {
                '"' => break,
                '\\' => value.push(match characters.next() {
                    Some('n') => '\n',
                    Some(plain @ ('\\' | '"')) => plain,
                    other => panic!("{other:?} is no escape"),
                }),
                plain => value.push(plain),
            }
        }
        labels.push((name.to_owned(), value));
        rest = characters.as_str();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    let number = rest.strip_prefix("} ").expect("the end of the labels");
    number.parse::<f64>().unwrap();
    labels
}

/// `show ports` as people see it: one line a port, and nothing that a terminal would obey.
fn table_is_readable(site: &Site) {
    let output = site.control().output(&["show", "ports"]).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    for name in [
        "q\"uo\"te",
        "back\\n\\slash",
        "a{b=\"c\"},d=",
        "em\\u{2003}space",
        "snow\u{2603}m\u{e9}n",
        "esc\\u{1b}[31m",
        "-dash",
    ] {
        assert_eq!(text.lines().filter(|line| line.starts_with(&format!("{name} "))).count(), 1, "{name}: {text}");
    }
}

fn odd_names(slow_path: SlowPath) {
    let lab = Lab::builder(slow_path).bridge(BRIDGE).build().unwrap();
    for (number, name) in NAMES.iter().enumerate() {
        add_veth(&lab, name, &format!("peer{number}"));
        match lab.ovs() {
            Some(ovs) => _ = ovs.vsctl(&["--", "add-port", BRIDGE, name]).unwrap(),
            None => _ = lab.host().run("ip", &["link", "set", "dev", name, "master", BRIDGE]).unwrap(),
        }
    }
    let site = Site::new(lab, &topology_of(BRIDGE)).unwrap();
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), NAMES.len());
    let all: BTreeSet<_> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(shown(&site), all);
    table_is_readable(&site);
    let told = site.control().output(&["show", "status"]).unwrap();
    assert!(String::from_utf8(told.stdout).unwrap().contains(BRIDGE));
    let page = page(&site);
    assert_eq!(label_values(&page, "fastbridge_port_eligible", "port"), all);
    assert_eq!(label_values(&page, "fastbridge_port_packets_total", "port"), all);
    assert_eq!(label_values(&page, "fastbridge_bridge_info", "bridge"), [BRIDGE.to_owned()].into());
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    let gone = site.control().output(&["detach", "--bridge", BRIDGE]).unwrap();
    assert!(gone.status.success(), "{gone:?}");
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn odd_names_beside_open_vswitch() {
    odd_names(SlowPath::ovs());
}

#[test]
fn odd_names_beside_a_linux_bridge() {
    odd_names(SlowPath::LinuxBridge);
}

/// Runs `ip` with a word that is no text among the others.
fn ip(site: &Site, before: &str, word: &[u8], after: &str) {
    let mut command = site.lab.host().command("ip").unwrap();
    command.args(before.split_whitespace()).arg(OsStr::from_bytes(word)).args(after.split_whitespace());
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Somebody's name or alias in another encoding keeps nobody else's port from being policed.
fn texts_that_are_none(slow_path: SlowPath) {
    let site = Site::pair(slow_path, &topology("", "")).unwrap();
    let (none, latin) = (b"\xff\xfe", b"caf\xe9");
    ip(&site, "link add name", none, "type veth peer name other");
    let manager = site.start().unwrap();
    assert_eq!(manager.ready_ports(), 2);
    ip(&site, "link set dev vnet0 alias", latin, "");
    ip(&site, "link property add dev vnet1 altname", latin, "");
    ip(&site, "addr add 10.9.9.9/32 dev", none, "");
    add_veth(&site.lab, "vnet2", "peer2");
    site.lab.add_port("vnet2").unwrap();
    let eligible = || site.control().show("ports").unwrap()["ports"]["vnet2"]["eligible"] == true;
    wait_until("the new port takes part", LIMIT, eligible)
        .unwrap_or_else(|error| panic!("{error}: {:?}", manager.errors_in_log()));
    assert_eq!(shown(&site), ["vnet0", "vnet1", "vnet2"].map(str::to_owned).into());
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn texts_that_are_none_beside_open_vswitch() {
    texts_that_are_none(SlowPath::ovs());
}

#[test]
fn texts_that_are_none_beside_a_linux_bridge() {
    texts_that_are_none(SlowPath::LinuxBridge);
}
