//! The OVSDB and OpenFlow sources against Debian's Open vSwitch with its userspace datapath, in a namespace of its own. Needs root, iproute2
//! and openvswitch-switch.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bridge_user::source::openflow::{OpenFlow, OpenFlowError};
use bridge_user::source::ovsdb::{Health, OvsdbState, OvsdbWatch};
use bridge_user::source::{OvsBridge, OvsInterface, PortVlan};
use support::{Netns, run};

const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x21];

/// A daemon in the foreground, killed by its process id.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Open vSwitch with a bridge br0 in a namespace and a directory of its own.
struct Ovs {
    server: Mutex<Option<Daemon>>,
    _vswitchd: Daemon,
    directory: tempfile::TempDir,
    ns: Netns,
}

impl Ovs {
    fn start() -> Self {
        let (ns, directory) = (Netns::new(), tempfile::tempdir().unwrap());
        run("ovsdb-tool", &["create", &path(&directory, "conf.db"), "/usr/share/openvswitch/vswitch.ovsschema"]);
        let server = start_server(&ns, &directory);
        let remote = format!("unix:{}", path(&directory, "db.sock"));
        run("ovs-vsctl", &[&format!("--db={remote}"), "--no-wait", "init"]);
        let control = format!("--unixctl={}", path(&directory, "vswitchd.ctl"));
        let vswitchd = daemon(&ns, &directory, "ovs-vswitchd", &[&remote, "--disable-system", &control]);
        let this = Self { server: Mutex::new(Some(server)), _vswitchd: vswitchd, directory, ns };
        this.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        this
    }

    fn rundir(&self) -> &Path {
        self.directory.path()
    }

    /// Waits, as ovs-vsctl does, until ovs-vswitchd has done it.
    fn vsctl(&self, line: &str) -> String {
        let mut args = vec![format!("--db=unix:{}", path(&self.directory, "db.sock")), "--timeout=20".into()];
        args.extend(line.split_whitespace().map(String::from));
        run("ovs-vsctl", &args)
    }

    fn appctl(&self, line: &str) -> String {
        let mut args = vec!["-t".to_string(), path(&self.directory, "vswitchd.ctl")];
        args.extend(line.split_whitespace().map(String::from));
        run("ovs-appctl", &args)
    }

    fn ofctl(&self, line: &str) {
        let mgmt = format!("unix:{}", path(&self.directory, "br0.mgmt"));
        let (verb, rest) = line.split_once(' ').unwrap();
        run("ovs-ofctl", &[verb, &mgmt, rest]);
    }

    /// A veth into br0.
    fn add_port(&self, name: &str) {
        self.ns.run(&format!("ip link add {name} type veth peer name {name}p"));
        self.ns.run(&format!("ip link set {name} up"));
        self.ns.run(&format!("ip link set {name}p up"));
        self.vsctl(&format!("add-port br0 {name}"));
    }

    /// (OpenFlow port, age in seconds) of the station's entry.
    fn age(&self) -> Option<(u16, u64)> {
        let shown = self.appctl("fdb/show br0");
        let row = shown.lines().find(|line| line.contains("02:00:00:00:00:21"))?;
        let words: Vec<_> = row.split_whitespace().collect();
        Some((words[0].parse().unwrap(), words[3].parse().unwrap()))
    }
}

fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().into()
}

fn start_server(ns: &Netns, directory: &tempfile::TempDir) -> Daemon {
    let socket: PathBuf = path(directory, "db.sock").into();
    let _ = std::fs::remove_file(&socket);
    let args = [
        path(directory, "conf.db"),
        format!("--remote=punix:{}", socket.display()),
        format!("--unixctl={}", path(directory, "server.ctl")),
    ];
    let server = daemon(ns, directory, "ovsdb-server", &args.each_ref().map(String::as_str));
    let started = Instant::now();
    while !socket.exists() {
        assert!(started.elapsed() < Duration::from_secs(10), "ovsdb-server does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

/// nsenter becomes the program, so that the child's process id is the daemon's.
fn daemon(ns: &Netns, directory: &tempfile::TempDir, program: &str, args: &[&str]) -> Daemon {
    let log = std::fs::File::create(directory.path().join(format!("{program}.log"))).unwrap();
    let child = Command::new("nsenter")
        .arg(format!("--net=/var/run/netns/{}", ns.0))
        .arg(program)
        .args(args)
        .env("OVS_RUNDIR", directory.path())
        .env("OVS_DBDIR", directory.path())
        .stdin(Stdio::null())
        .stderr(log)
        .spawn();
    Daemon(
        child.unwrap_or_else(|e| {
            panic!("{program} cannot be started ({e}); this test needs root and openvswitch-switch")
        }),
    )
}

/// Waits for a state; fails with the last one seen.
async fn until(watch: &mut OvsdbWatch, wanted: impl Fn(&OvsdbState) -> bool) -> OvsdbState {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let mut state = watch.state();
    while !wanted(&state) {
        state = tokio::time::timeout_at(deadline, watch.changed()).await.unwrap_or_else(|_| panic!("still {state:?}"));
    }
    state
}

fn bridge(state: &OvsdbState) -> Option<&OvsBridge> {
    state.snapshot.as_ref()?.bridge.as_ref()
}

fn interface<'a>(state: &'a OvsdbState, name: &str) -> Option<&'a OvsInterface> {
    bridge(state)?.interfaces.iter().find(|interface| interface.name == name)
}

#[test]
fn the_monitor_sees_ports_and_settings_and_survives_a_restart_of_the_server() {
    let ovs = Ovs::start();
    ovs.ns.block_on(async || {
        let mut watch = OvsdbWatch::spawn(ovs.rundir().join("db.sock"), "br0".into());
        let state = until(&mut watch, |s| bridge(s).is_some()).await;
        let br0 = bridge(&state).unwrap();
        assert!(br0.userspace && br0.ageing_time == 300 && br0.ineligible.is_empty(), "{br0:?}");
        let local = interface(&state, "br0").unwrap();
        assert_eq!((local.kind.as_str(), local.ineligible.len()), ("internal", 1));

        ovs.add_port("v0");
        let state =
            until(&mut watch, |s| interface(s, "v0").is_some_and(|i| i.ofport.is_some() && i.ifindex.is_some())).await;
        let v0 = interface(&state, "v0").unwrap();
        let ifindex = ovs.ns.run("cat /proc/net/if_inet6");
        assert!(
            ifindex.lines().any(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                words[5] == "v0" && u32::from_str_radix(words[1], 16).ok() == v0.ifindex
            }),
            "{v0:?} {ifindex}"
        );
        assert!(v0.ineligible.is_empty(), "{v0:?}");

        for (set, unset) in [
            ("set port v0 vlan_mode=dot1q-tunnel", "clear port v0 vlan_mode"),
            ("set port v0 other_config:priority-tags=always", "clear port v0 other_config"),
            ("set interface v0 bfd:enable=true", "clear interface v0 bfd"),
            ("set port v0 protected=true", "set port v0 protected=false"),
            ("set interface v0 ingress_policing_rate=1000", "set interface v0 ingress_policing_rate=0"),
            ("set interface v0 ingress_policing_kpkts_rate=10", "set interface v0 ingress_policing_kpkts_rate=0"),
            ("set port v0 qos=@q -- --id=@q create qos type=linux-noop", "clear port v0 qos"),
        ] {
            ovs.vsctl(set);
            until(&mut watch, |s| interface(s, "v0").is_some_and(|i| i.ineligible.len() == 1)).await;
            ovs.vsctl(unset);
            until(&mut watch, |s| interface(s, "v0").is_some_and(|i| i.ineligible.is_empty())).await;
        }
        let vlan = |s: &OvsdbState| interface(s, "v0").map(|i| i.vlan.clone());
        for (edit, wanted) in [
            ("set port v0 tag=10", PortVlan::access(10)),
            ("set port v0 vlan_mode=native-tagged trunks=20,30", PortVlan::native(10, true, &[20, 30].into())),
            ("remove port v0 trunks 20", PortVlan::native(10, true, &[30].into())),
            ("clear port v0 tag", PortVlan::native(0, true, &[30].into())),
            ("add port v0 trunks 0", PortVlan::native(0, true, &[0, 30].into())),
            ("clear port v0 vlan_mode", PortVlan::trunk(&[0, 30].into())),
            ("clear port v0 trunks", PortVlan::PLAIN),
        ] {
            ovs.vsctl(edit);
            until(&mut watch, |s| vlan(s) == Some(wanted.clone())).await;
        }
        for (set, unset) in [
            ("set bridge br0 mirrors=@m -- --id=@m create mirror name=m", "clear bridge br0 mirrors"),
            (
                "set bridge br0 sflow=@s -- --id=@s create sflow targets=\"127.0.0.1\" agent=lo",
                "clear bridge br0 sflow",
            ),
            ("set bridge br0 netflow=@n -- --id=@n create netflow targets=\"127.0.0.1:9\"", "clear bridge br0 netflow"),
            ("set bridge br0 ipfix=@i -- --id=@i create ipfix targets=\"127.0.0.1:9\"", "clear bridge br0 ipfix"),
            ("set bridge br0 stp_enable=true", "set bridge br0 stp_enable=false"),
            ("set bridge br0 rstp_enable=true", "set bridge br0 rstp_enable=false"),
            ("set bridge br0 mcast_snooping_enable=true", "set bridge br0 mcast_snooping_enable=false"),
            ("set-fail-mode br0 secure", "del-fail-mode br0"),
            (
                "set open_vswitch . other_config:flow-restore-wait=true",
                "remove open_vswitch . other_config flow-restore-wait",
            ),
        ] {
            ovs.vsctl(set);
            until(&mut watch, |s| bridge(s).is_some_and(|b| b.ineligible.len() == 1)).await;
            ovs.vsctl(unset);
            until(&mut watch, |s| bridge(s).is_some_and(|b| b.ineligible.is_empty())).await;
        }
        ovs.vsctl("set bridge br0 other_config:mac-aging-time=60");
        until(&mut watch, |s| bridge(s).is_some_and(|b| b.ageing_time == 60)).await;

        *ovs.server.lock().unwrap() = None;
        let state = until(&mut watch, |s| s.health != Health::Current).await;
        assert!(interface(&state, "v0").is_some(), "the last good snapshot stays");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(watch.state().age() >= Duration::from_millis(300));
        *ovs.server.lock().unwrap() = Some(start_server(&ovs.ns, &ovs.directory));
        let state = until(&mut watch, |s| s.health == Health::Current).await;
        assert!(interface(&state, "v0").is_some() && state.age() == Duration::ZERO);
        ovs.vsctl("del-port br0 v0");
        until(&mut watch, |s| interface(s, "v0").is_none()).await;
        ovs.vsctl("del-br br0");
        until(&mut watch, |s| bridge(s).is_none() && s.health == Health::Current).await;
    });
}

#[test]
fn a_refresh_resets_the_age_and_an_unknown_port_is_refused() {
    let ovs = Ovs::start();
    // Nothing but the refresh may be heard on the ports.
    ovs.ns.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
    for port in ["v0", "v1"] {
        ovs.add_port(port);
    }
    let ofport: u16 = ovs.vsctl("get interface v0 ofport").trim().parse().unwrap();
    ovs.ns.block_on(async || {
        let mut switch = OpenFlow::connect(ovs.rundir(), "br0").await.unwrap();
        // The first one teaches the bridge, as the station itself would.
        switch.refresh(&[(ofport, MAC)]).await.unwrap();
        assert_eq!(ovs.age().unwrap().0, ofport);
        tokio::time::sleep(Duration::from_millis(4200)).await;
        let old = ovs.age().unwrap();
        assert!(old.0 == ofport && old.1 >= 3, "{old:?}");
        let received = |device: &str| {
            ovs.ns.run("cat /proc/net/dev").lines().find(|l| l.trim().starts_with(device)).map(String::from)
        };
        let before = received("v1p:");
        switch.refresh(&[(ofport, MAC)]).await.unwrap();
        let young = ovs.age().unwrap();
        assert!(young.0 == ofport && young.1 <= 1, "{young:?}");
        assert_eq!(received("v1p:"), before, "while the bridge has the entry the frame goes nowhere");

        let many: Vec<_> = (0..1000_u16).map(|n| (ofport, [2, 1, 0, 0, (n >> 8) as u8, n as u8])).collect();
        switch.refresh(&many).await.unwrap();
        assert_eq!(ovs.appctl("fdb/show br0").matches("02:01:00:00:").count(), 1000);

        let refused = switch.refresh(&[(0xff00, MAC)]).await;
        assert!(matches!(refused, Err(OpenFlowError::Refused { .. })), "{refused:?}");
        switch.refresh(&[(ofport, MAC)]).await.unwrap();
        assert!(matches!(OpenFlow::connect(ovs.rundir(), "br9").await, Err(OpenFlowError::Connect { .. })));
        ovs.vsctl("set bridge br0 protocols=OpenFlow13");
        let outcome = OpenFlow::connect(ovs.rundir(), "br0").await.map(|_| ());
        assert!(matches!(outcome, Err(OpenFlowError::Version)), "{outcome:?}");
    });
}

#[test]
fn only_the_one_normal_flow_counts_as_such() {
    let ovs = Ovs::start();
    ovs.ns.block_on(async || {
        let mut switch = OpenFlow::connect(ovs.rundir(), "br0").await.unwrap();
        assert!(switch.only_normal_flow().await.unwrap());
        for flow in [
            "priority=0,actions=drop",
            "priority=1,actions=normal",
            "priority=0,actions=normal,controller",
            "priority=0,in_port=1,actions=normal",
            // OpenFlow 1.0's own statistics would show this one without its match.
            "priority=0,metadata=1,actions=normal",
            "table=3,priority=0,actions=normal",
        ] {
            ovs.ofctl("del-flows table=0");
            ovs.ofctl("del-flows table=3");
            ovs.ofctl(&format!("add-flow {flow}"));
            assert!(!switch.only_normal_flow().await.unwrap(), "{flow}");
        }
        ovs.ofctl("add-flow priority=0,actions=normal");
        assert!(!switch.only_normal_flow().await.unwrap(), "two of them");
        ovs.ofctl("del-flows table=3");
        assert!(switch.only_normal_flow().await.unwrap());
    });
}
