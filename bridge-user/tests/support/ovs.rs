//! Debian's Open vSwitch with its userspace datapath and a bridge br0, in a namespace and a directory of its own. Needs root, iproute2 and
//! openvswitch-switch.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::{Netns, run};

/// A daemon in the foreground, killed by its process id.
pub(crate) struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Open vSwitch with a bridge br0 in a namespace and a directory of its own.
pub(crate) struct Ovs {
    pub(crate) server: Mutex<Option<Daemon>>,
    _vswitchd: Daemon,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) ns: Netns,
}

impl Ovs {
    pub(crate) fn start() -> Self {
        let (ns, directory) = (Netns::new(), tempfile::tempdir().unwrap());
        run("ovsdb-tool", &["create", &path(&directory, "conf.db"), "/usr/share/openvswitch/vswitch.ovsschema"]);
        let server = start_server(&ns, &directory);
        let remote = format!("unix:{}", path(&directory, "db.sock"));
        run("ovs-vsctl", &[&format!("--db={remote}"), "--no-wait", "init"]);
        let vswitchd = daemon(&ns, &directory, "ovs-vswitchd", &[&remote, "--disable-system", "--pidfile"]);
        let this = Self { server: Mutex::new(Some(server)), _vswitchd: vswitchd, directory, ns };
        this.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        this
    }

    pub(crate) fn rundir(&self) -> &Path {
        self.directory.path()
    }

    /// Waits, as ovs-vsctl does, until ovs-vswitchd has done it.
    pub(crate) fn vsctl(&self, line: &str) -> String {
        let mut args = vec![format!("--db=unix:{}", path(&self.directory, "db.sock")), "--timeout=20".into()];
        args.extend(line.split_whitespace().map(String::from));
        run("ovs-vsctl", &args)
    }

    pub(crate) fn appctl(&self, line: &str) -> String {
        let pid = std::fs::read_to_string(self.rundir().join("ovs-vswitchd.pid")).unwrap();
        let mut args = vec!["-t".to_string(), path(&self.directory, &format!("ovs-vswitchd.{}.ctl", pid.trim()))];
        args.extend(line.split_whitespace().map(String::from));
        run("ovs-appctl", &args)
    }

    pub(crate) fn ofctl(&self, line: &str) {
        let mgmt = format!("unix:{}", path(&self.directory, "br0.mgmt"));
        let (verb, rest) = line.split_once(' ').unwrap();
        run("ovs-ofctl", &[&[verb, mgmt.as_str()], &rest.split_whitespace().collect::<Vec<_>>()[..]].concat());
    }

    /// A veth into br0.
    pub(crate) fn add_port(&self, name: &str) {
        self.ns.run(&format!("ip link add {name} type veth peer name {name}p"));
        self.ns.run(&format!("ip link set {name} up"));
        self.ns.run(&format!("ip link set {name}p up"));
        self.vsctl(&format!("add-port br0 {name}"));
    }

    /// (OpenFlow port, age in seconds) of the station's entry.
    pub(crate) fn age(&self) -> Option<(u16, u64)> {
        let shown = self.appctl("fdb/show br0");
        let row = shown.lines().find(|line| line.contains("02:00:00:00:00:21"))?;
        let words: Vec<_> = row.split_whitespace().collect();
        Some((words[0].parse().unwrap(), words[3].parse().unwrap()))
    }
}

fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().into()
}

pub(crate) fn start_server(ns: &Netns, directory: &tempfile::TempDir) -> Daemon {
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
