//! A libvirtd of the lab's own, inside its host namespace, and QEMU guests that it starts: libvirt itself makes their taps and puts them on
//! the bridge.
//!
//! libvirtd knows its directories from when it was compiled, so it gets a mount namespace in which those are the lab's. Guests are emulated
//! (`-accel tcg`): they need no KVM. Must not: start a service of the host's, or touch another libvirt's guests.

mod agent;
mod console;
mod guest;
mod initramfs;
mod network;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Lab;
use super::daemon::Daemon;
use crate::error::{Error, Result};
use crate::run::{self, wait_until};
use crate::sweep;

pub use guest::{Guest, GuestSpec};
use initramfs::Kernel;

const START_LIMIT: Duration = Duration::from_secs(30);
const END_LIMIT: Duration = Duration::from_secs(10);

/// What the daemon finds in the places that it knows. `$1` is the lab's directory; the rest of the arguments is the daemon.
const MOUNTS: &str = r#"set -e
dir=$1; shift
mkdir -p /run/libvirt
mount -t tmpfs tmpfs /var
mkdir -p /var/lib/libvirt /var/log/libvirt /var/cache/libvirt
ln -s /run /var/run
mount --bind "$dir/etc" /etc/libvirt
mount --bind "$dir/lib" /var/lib/libvirt
mount --bind "$dir/log" /var/log/libvirt
mount --bind "$dir/cache" /var/cache/libvirt
mount --bind "$dir/run" /run/libvirt
mount --bind "$dir/passwd" /etc/passwd
mount --bind "$dir/group" /etc/group
exec "$@""#;

const QEMU_CONF: &str = r#"security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
user = "root"
group = "root"
remember_owner = 0
"#;

/// The kernel that guests boot, where it is there.
pub fn guest_kernel() -> Result<PathBuf> {
    Kernel::find().map(|kernel| kernel.image)
}

/// A running libvirtd. Its guests and itself end, and their directory goes, when this is dropped.
#[derive(Debug)]
pub struct Libvirt {
    daemon: Option<Daemon>,
    dir: PathBuf,
    kernel: Kernel,
    bridge: String,
    /// The bridge is Open vSwitch's.
    ovs: bool,
}

impl Lab {
    /// Starts libvirtd beside the lab's bridge; its guests will have `tools` (programs of this machine) besides busybox.
    ///
    /// # Errors
    /// libvirtd, QEMU or the guests' kernel are not there (`cargo xtask setup` gets them), or libvirtd does not answer.
    pub fn start_libvirt(&mut self, tools: &[&str]) -> Result<&Libvirt> {
        let kernel = Kernel::find()?;
        let dir = Path::new(sweep::RUN_DIR).join(format!("{}-libvirt", self.prefix));
        let libvirt = Libvirt { daemon: None, dir, kernel, bridge: self.bridge.clone(), ovs: self.ovs.is_some() };
        libvirt.prepare(tools)?;
        if self.ovs.is_some() {
            // As for veths: the host's own stack sees every frame beside AF_PACKET ports, and would answer ARP.
            self.host.sysctl("ipv4/conf/default/arp_ignore", "8")?;
        }
        self.libvirt = Some(libvirt);
        self.restart_libvirt()?;
        self.libvirt()
    }

    /// The lab's libvirt.
    pub fn libvirt(&self) -> Result<&Libvirt> {
        self.libvirt
            .as_ref()
            .ok_or_else(|| Error::Invalid("the lab has no libvirt: start_libvirt() gives it one".into()))
    }

    /// Kills libvirtd, as a crash would. Its guests run on.
    pub fn kill_libvirt(&mut self) {
        if let Some(libvirt) = &mut self.libvirt {
            libvirt.daemon = None;
        }
    }

    /// Any signal to libvirtd, such as SIGSTOP for one that hangs.
    pub fn signal_libvirt(&self, signal: Signal) -> Result<()> {
        let daemon = self.libvirt()?.daemon.as_ref();
        let daemon = daemon.ok_or_else(|| Error::Invalid("libvirtd does not run".into()))?;
        let pid = i32::try_from(daemon.0.id()).map_err(|e| Error::Invalid(e.to_string()))?;
        kill(Pid::from_raw(pid), signal).map_err(|e| Error::io(format!("cannot send {signal} to libvirtd"), e))
    }

    /// Starts libvirtd, which finds the guests that still run.
    pub fn restart_libvirt(&mut self) -> Result<()> {
        let libvirt = self.libvirt.as_ref().ok_or_else(|| Error::Invalid("the lab never had a libvirt".into()))?;
        let daemon = libvirt.spawn(self)?;
        if let Some(libvirt) = &mut self.libvirt {
            libvirt.daemon = Some(daemon);
        }
        let libvirt = self.libvirt()?;
        wait_until("libvirtd answers", START_LIMIT, || libvirt.virsh(&["list"]).is_ok())
            .map_err(|error| Error::Invalid(format!("{error}; its log:\n{}", libvirt.log())))
    }
}

impl Libvirt {
    /// For `--libvirt`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("qemu:///system?socket={}", self.dir.join("run/libvirt-sock").display())
    }

    /// Runs virsh; its stdout.
    pub fn virsh(&self, args: &[&str]) -> Result<String> {
        run::run(Command::new(run::find_tool("virsh")?).args(["-q", "-c", &self.uri()]).args(args), None)
    }

    /// Starts a guest; it boots meanwhile.
    pub fn create(&self, spec: &GuestSpec) -> Result<Guest> {
        let file = self.dir.join("domain.xml");
        let xml = spec.domain(self);
        std::fs::write(&file, xml).map_err(|e| Error::io(format!("cannot write {}", file.display()), e))?;
        self.virsh(&["create", &file.display().to_string()])?;
        Ok(Guest::new(spec.name(), self.socket_of(spec.name())))
    }

    /// Runs virsh with a device's XML: `attach-device` or `detach-device`.
    pub fn device(&self, verb: &str, domain: &str, xml: &str) -> Result<()> {
        let file = self.dir.join("device.xml");
        std::fs::write(&file, xml).map_err(|e| Error::io(format!("cannot write {}", file.display()), e))?;
        self.virsh(&[verb, domain, &file.display().to_string(), "--live"]).map(drop)
    }

    /// The taps of a running guest by its interfaces' MACs, as libvirt tells them (`domiflist`).
    pub fn tap(&self, domain: &str, mac: crate::Mac) -> Result<String> {
        let mac = crate::format_mac(mac);
        let listed = self.virsh(&["domiflist", domain])?;
        let row = listed.lines().find(|line| line.split_whitespace().last() == Some(&mac));
        let tap = row.and_then(|row| row.split_whitespace().next()).filter(|tap| *tap != "-");
        tap.map(ToOwned::to_owned).ok_or_else(|| Error::Invalid(format!("{domain} has no tap for {mac}:\n{listed}")))
    }

    /// libvirtd's words so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("libvirtd.log")).unwrap_or_default()
    }

    fn socket_of(&self, guest: &str) -> PathBuf {
        self.dir.join(format!("{guest}.sock"))
    }

    /// Its directory with everything that is in it before the first start.
    fn prepare(&self, tools: &[&str]) -> Result<()> {
        let write = |name: &str, content: &str| {
            let path = self.dir.join(name);
            std::fs::write(&path, content).map_err(|e| Error::io(format!("cannot write {}", path.display()), e))
        };
        let read = |path: &str| std::fs::read_to_string(path).map_err(|e| Error::io(format!("cannot read {path}"), e));
        for name in ["etc", "lib", "log", "cache", "run"] {
            let path = self.dir.join(name);
            std::fs::create_dir_all(&path).map_err(|e| Error::io(format!("cannot create {}", path.display()), e))?;
        }
        // The user that libvirt was compiled to know, whether or not its package has made it.
        write("passwd", &(read("/etc/passwd")? + "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin\n"))?;
        write("group", &(read("/etc/group")? + "libvirt-qemu:x:64055:\n"))?;
        write("etc/qemu.conf", QEMU_CONF)?;
        let log = self.dir.join("libvirtd.log");
        write(
            "etc/libvirtd.conf",
            &format!(
                "unix_sock_dir = \"{}\"\nauth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\nlog_outputs = \"3:file:{}\"\n",
                self.dir.join("run").display(),
                log.display()
            ),
        )?;
        initramfs::write(&self.initramfs(), &self.kernel, tools)
    }

    fn initramfs(&self) -> PathBuf {
        self.dir.join("initramfs")
    }

    fn spawn(&self, lab: &Lab) -> Result<Daemon> {
        let mut command = lab.host.command("unshare")?;
        command.args(["--mount", "--propagation", "private", "sh", "-c", MOUNTS, "sh"]).arg(&self.dir);
        command.arg(run::find_tool("libvirtd")?).arg("-f").arg(self.dir.join("etc/libvirtd.conf"));
        command.arg("-p").arg(self.dir.join("libvirtd.pid"));
        if let Some(ovs) = &lab.ovs {
            // libvirt puts taps on the bridge by ovs-vsctl, which inherits this.
            command.env("OVS_RUNDIR", ovs.run_dir());
        }
        // No mention of a session of the caller's, whose configuration is none of ours.
        command.env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.process_group(0);
        command.spawn().map(Daemon).map_err(|e| Error::io("cannot start libvirtd", e))
    }

    /// Processes of its guests, by the pid files that libvirt keeps.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        let Ok(entries) = std::fs::read_dir(self.dir.join("run/qemu")) else { return Vec::new() };
        let files =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "pid"));
        let pid = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse().ok().map(Pid::from_raw);
        // The driver keeps one of its own there.
        files.filter(|path| path.file_stem().is_some_and(|stem| stem != "driver")).filter_map(pid).collect()
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        let guests = self.processes();
        self.daemon = None;
        for pid in &guests {
            let _gone_already = kill(*pid, Signal::SIGKILL);
        }
        let gone = |pid: &Pid| !Path::new(&format!("/proc/{pid}/exe")).exists();
        let _still_some = wait_until("the guests end", END_LIMIT, || guests.iter().all(gone));
        sweep::remove_dir(&self.dir);
    }
}
