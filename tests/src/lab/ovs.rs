//! Open vSwitch, run by hand inside a namespace with a run directory of its own: userspace or kernel datapath.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::daemon::Daemon;
use super::{BRIDGE_MAC, SlowPath};
use crate::error::{Error, Result};
use crate::netns::Netns;
use crate::run::{self, wait_until};
use crate::{format_mac, sweep};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const START_LIMIT: Duration = Duration::from_secs(10);
const CONTROL_LIMIT: Duration = Duration::from_secs(10);
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// Running ovsdb-server and ovs-vswitchd; both end, and their directory goes, when this is dropped.
#[derive(Debug)]
pub struct Ovs {
    vswitchd: Option<Daemon>,
    server: Option<Daemon>,
    run_dir: PathBuf,
    /// With the kernel's datapath.
    system: bool,
}

impl Ovs {
    /// Starts both daemons in `host` and creates a bridge of that datapath.
    pub(super) fn start(host: &Netns, prefix: &str, bridge: &str, kind: SlowPath) -> Result<Self> {
        let run_dir = Path::new(sweep::RUN_DIR).join(format!("{prefix}-ovs"));
        std::fs::create_dir(&run_dir).map_err(|e| Error::io(format!("cannot create {}", run_dir.display()), e))?;
        let mut ovs = Self { vswitchd: None, server: None, run_dir, system: kind == SlowPath::OvsKernel };
        run::run(Command::new(run::find_tool("ovsdb-tool")?).arg("create").arg(ovs.file("conf.db")).arg(SCHEMA), None)?;
        ovs.start_server(host)?;
        ovs.vsctl(&["--no-wait", "init"])?;
        ovs.start_vswitchd(host)?;
        let mac = format!("other-config:hwaddr=\"{}\"", format_mac(BRIDGE_MAC));
        ovs.vsctl(&["add-br", bridge, "--", "set", "bridge", bridge, ovs.datapath(), &mac])?;
        Ok(ovs)
    }

    /// What a bridge of its kind is set to.
    #[must_use]
    pub const fn datapath(&self) -> &'static str {
        if self.system { "datapath_type=system" } else { "datapath_type=netdev" }
    }

    /// Starts ovsdb-server on the database that is there.
    pub fn start_server(&mut self, host: &Netns) -> Result<()> {
        let remote = format!("--remote=p{}", self.db());
        self.server = Some(self.daemon(host, "ovsdb-server", "db", &[&self.file("conf.db"), &remote])?);
        wait_until("ovsdb-server opens its socket", START_LIMIT, || self.vsctl(&["--no-wait", "show"]).is_ok())
    }

    /// Starts ovs-vswitchd.
    pub fn start_vswitchd(&mut self, host: &Netns) -> Result<()> {
        // A kernel datapath belongs to its namespace; where none is wanted none shall be touched.
        let db = self.db();
        let options = if self.system { &[db.as_str()][..] } else { &[db.as_str(), "--disable-system"][..] };
        let daemon = self.daemon(host, "ovs-vswitchd", "vs", options)?;
        let control = control_socket(&self.run_dir, &daemon);
        self.vswitchd = Some(daemon);
        wait_until("ovs-vswitchd opens its socket", START_LIMIT, || control.exists())
    }

    /// Kills ovsdb-server, as a crash would.
    pub fn kill_server(&mut self) {
        self.server = None;
    }

    /// Kills ovs-vswitchd, as a crash would.
    pub fn kill_vswitchd(&mut self) {
        self.vswitchd = None;
    }

    /// Any signal to ovs-vswitchd, such as SIGSTOP for one that has much to do.
    pub fn signal_vswitchd(&self, signal: Signal) -> Result<()> {
        let daemon = self.vswitchd.as_ref().ok_or_else(not_running)?;
        let pid = i32::try_from(daemon.0.id()).map_err(|_| Error::Invalid("ovs-vswitchd's pid does not fit".into()))?;
        kill(Pid::from_raw(pid), signal).map_err(|e| Error::io(format!("cannot send {signal} to ovs-vswitchd"), e))
    }

    /// Changes the database while no ovsdb-server runs: operations as RFC 7047, 5.2, has them. Nobody gets an event.
    pub fn transact(&self, operations: &Value) -> Result<()> {
        let mut all = vec![Value::from("Open_vSwitch")];
        all.extend(operations.as_array().cloned().unwrap_or_default());
        let mut command = Command::new(run::find_tool("ovsdb-tool")?);
        run::run(command.arg("transact").arg(self.file("conf.db")).arg(Value::Array(all).to_string()), None).map(drop)
    }

    /// The directory with `db.sock`: what `OVS_RUNDIR` names.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Runs `ovs-vsctl` against this switch; its stdout. Waits until ovs-vswitchd has acted, at most 10 s.
    pub fn vsctl(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(run::find_tool("ovs-vsctl")?);
        run::run(command.arg(format!("--db={}", self.db())).arg("--timeout=10").args(args), None)
    }

    /// What `ovs-appctl` does against this ovs-vswitchd; what that would print. Without a process: a differential run asks at each barrier.
    pub fn appctl(&self, method: &str, args: &[&str]) -> Result<String> {
        let daemon = self.vswitchd.as_ref().ok_or_else(not_running)?;
        unixctl(&control_socket(&self.run_dir, daemon), method, args)
    }

    /// Runs `ovs-ofctl` against a bridge of this switch; its stdout.
    pub fn ofctl(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(run::find_tool("ovs-ofctl")?);
        run::run(command.env("OVS_RUNDIR", &self.run_dir).arg("--timeout=10").args(args), None)
    }

    /// ovs-vswitchd's log so far.
    pub fn log(&self) -> Result<String> {
        let path = self.file("vs.log");
        std::fs::read_to_string(&path).map_err(|e| Error::io(format!("cannot read {path}"), e))
    }

    /// Drops all cached datapath flows, so that every later frame is judged by what OVS knows now. Without this a flow cached before a
    /// station was learned floods until a revalidator gets to it, and the statistics of an old flow, pushed late, teach where a station
    /// was. Again until none is left: a purge skips a flow that a revalidator is working on.
    pub(super) fn settle(&self) -> Result<()> {
        let mut failure = None;
        let waited = wait_until("ovs-vswitchd has dropped its cached flows", SETTLE_LIMIT, || match self.purge() {
            Ok(empty) => empty,
            Err(error) => failure.replace(error).is_none(),
        });
        failure.map_or(waited, Err)
    }

    /// Whether no flow is left after it.
    fn purge(&self) -> Result<bool> {
        self.appctl("revalidator/purge", &[])?;
        let shown = self.appctl("upcall/show", &[])?;
        Ok(shown.lines().filter(|line| line.contains("(keys ")).all(|line| line.contains("(keys 0)")))
    }

    /// Makes OVS open an interface that was created again under its old name: its row goes and comes back.
    pub(super) fn reopen_port(&self, bridge: &str, port: &str) -> Result<()> {
        self.vsctl(&["--if-exists", "del-port", port])?;
        self.vsctl(&["add-port", bridge, port]).map(drop)
    }

    fn daemon(&self, host: &Netns, tool: &str, short: &str, args: &[&str]) -> Result<Daemon> {
        let mut command = host.command(tool)?;
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"] {
            command.env(variable, &self.run_dir);
        }
        command.args(args).arg(format!("--pidfile={}", self.file(&format!("{tool}.pid"))));
        command.arg(format!("--log-file={}", self.file(&format!("{short}.log")))).arg("-vconsole:off");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Of a process group of their own: Ctrl-C is for the lab's owner, who ends them in order, and a kept lab's outlive its terminal.
        command.process_group(0);
        command.spawn().map(Daemon).map_err(|e| Error::io(format!("cannot start {tool}"), e))
    }

    fn db(&self) -> String {
        format!("unix:{}", self.file("db.sock"))
    }

    fn file(&self, name: &str) -> String {
        self.run_dir.join(name).display().to_string()
    }
}

fn not_running() -> Error {
    Error::Invalid("ovs-vswitchd does not run".into())
}

/// Where ovs-vswitchd listens by default, named after its process.
fn control_socket(run_dir: &Path, daemon: &Daemon) -> PathBuf {
    run_dir.join(format!("ovs-vswitchd.{}.ctl", daemon.0.id()))
}

/// One call of JSON-RPC 1.0 over a daemon's control socket (ovs-appctl(8); lib/unixctl.c).
fn unixctl(socket: &Path, method: &str, args: &[&str]) -> Result<String> {
    let what = || format!("{method} over {}", socket.display());
    let failed = |e: std::io::Error| Error::io(what(), e);
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(CONTROL_LIMIT)).map_err(failed)?;
    let call = serde_json::json!({"id": 0, "method": method, "params": args});
    stream.write_all(call.to_string().as_bytes()).map_err(failed)?;
    let mut answers = serde_json::Deserializer::from_reader(stream).into_iter::<Value>();
    match answers.next() {
        Some(Ok(answer)) if answer["error"].is_null() => Ok(answer["result"].as_str().unwrap_or_default().to_owned()),
        Some(Ok(answer)) => Err(Error::Invalid(format!("{}: {}", what(), answer["error"]))),
        Some(Err(error)) => Err(Error::Invalid(format!("{}: {error}", what()))),
        None => Err(Error::Invalid(format!("{}: no answer", what()))),
    }
}

impl Drop for Ovs {
    fn drop(&mut self) {
        // The switch before its database, both before their directory.
        self.vswitchd = None;
        self.server = None;
        sweep::remove_dir(&self.run_dir);
    }
}
