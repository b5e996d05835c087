//! Named network namespaces: created, entered and removed. Refuses the initial namespace, whatever the name. Must not know what a
//! lab looks like inside.
//!
//! Names are `fb<pid>-<n>-<role>`: the process id tells a later run whether the owner still lives (see `sweep`). Kept labs have names
//! without a process id (see `lab::Kept`).

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, Result};
use crate::run;

/// Where iproute2 keeps named namespaces.
pub(crate) const NETNS_DIR: &str = "/run/netns";

const LINK_LIMIT: Duration = Duration::from_secs(5);

/// A named network namespace; removed, with the processes left in it, when dropped, unless it was there before ([`Netns::existing`]).
#[derive(Debug)]
pub struct Netns {
    name: String,
    path: PathBuf,
    owned: bool,
}

impl Netns {
    /// Creates a namespace of that name with `lo` up.
    ///
    /// # Errors
    /// Without root, without iproute2, or when the name is taken.
    pub fn create(name: &str) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::Refused("labs create network namespaces: run this as root".into()));
        }
        run::run(Command::new(run::find_tool("ip")?).args(["netns", "add", name]), None)?;
        let netns = Self { name: name.into(), path: Path::new(NETNS_DIR).join(name), owned: true };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// A namespace that somebody else created and will remove: dropping this changes nothing.
    ///
    /// # Errors
    /// When there is none of that name, or it is the initial one.
    pub fn existing(name: &str) -> Result<Self> {
        let netns = Self { name: name.into(), path: Path::new(NETNS_DIR).join(name), owned: false };
        netns.open()?;
        Ok(netns)
    }

    /// Its name, as `ip netns` shows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file to give to `nsenter --net=`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that will run inside this namespace (and nowhere else: the mount namespace stays, so bpffs mounts are seen).
    pub fn command(&self, tool: &str) -> Result<Command> {
        self.command_at(&run::find_tool(tool)?)
    }

    /// Like [`Netns::command`], for a program at a known path.
    pub fn command_at(&self, program: &Path) -> Result<Command> {
        let handle = self.open()?;
        let mut command = Command::new(program);
        // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
        unsafe { command.pre_exec(move || Ok(setns(&handle, CloneFlags::CLONE_NEWNET)?)) };
        Ok(command)
    }

    /// Runs a program inside to its end; its stdout.
    pub fn run(&self, tool: &str, args: &[&str]) -> Result<String> {
        run::run(self.command(tool)?.args(args), None)
    }

    /// Runs a program inside with `input` on its stdin; its stdout.
    pub fn run_with_input(&self, tool: &str, args: &[&str], input: &str) -> Result<String> {
        run::run(self.command(tool)?.args(args), Some(input))
    }

    /// Runs `ip` commands inside, one a line, stopping at the first that fails.
    pub fn ip(&self, batch: &str) -> Result<String> {
        self.run_with_input("ip", &["-batch", "-"], batch)
            .map_err(|e| Error::Invalid(format!("in {}: {e}\n{}", self.name, batch.trim())))
    }

    /// Sets a network sysctl inside; `key` as a path below `/proc/sys/net`, such as `ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(key);
        self.enter(|| std::fs::write(&path, value))?
            .map_err(|e| Error::io(format!("cannot set {} to {value} in {}", path.display(), self.name), e))
    }

    /// Runs `work` in a thread of its own inside this namespace. Sockets opened there belong to the namespace for good.
    ///
    /// A panic of `work` goes on in the caller.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let handle = self.open()?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(&handle, CloneFlags::CLONE_NEWNET)?;
                Ok::<T, nix::Error>(work())
            });
            match thread.join() {
                Ok(result) => result.map_err(|e| Error::io(format!("cannot enter {}", self.name), e)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// The index of an interface inside, or `None`.
    pub fn ifindex(&self, interface: &str) -> Result<Option<u32>> {
        self.enter(|| nix::net::if_::if_nametoindex(interface).ok())
    }

    /// Waits until an interface carries frames. "Up" alone does not do: the kernel starts a new link's queue, and a bridge its port, when
    /// the link watch gets to it, up to a second later, and loses what is sent before.
    pub fn wait_running(&self, interface: &str) -> Result<()> {
        let mut state = String::new();
        run::wait_until(&format!("{}/{interface} is running", self.name), LINK_LIMIT, || {
            state = self.run("ip", &["-d", "-o", "link", "show", "dev", interface]).unwrap_or_else(|e| e.to_string());
            // A tun device without carrier detection stays in state UNKNOWN.
            let running = state.contains("state UP") || state.contains("state UNKNOWN");
            running && (!state.contains("bridge_slave") || state.contains("state forwarding"))
        })
        .map_err(|e| Error::Invalid(format!("{e}: {}", state.trim())))
    }

    fn open(&self) -> Result<File> {
        let file = File::open(&self.path).map_err(|e| Error::io(format!("cannot open {}", self.path.display()), e))?;
        let inode = file.metadata().map_err(|e| Error::io("fstat", e))?.ino();
        if Some(inode) == inode_of(Path::new("/proc/1/ns/net")) {
            return Err(Error::Refused(format!("{} is the initial network namespace", self.name)));
        }
        Ok(file)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if self.owned {
            remove(&self.path);
        }
    }
}

fn inode_of(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|meta| meta.ino())
}

/// Kills (by pid) what still runs in the namespace, then unmounts and unlinks it. Never touches the caller or the initial namespace.
pub(crate) fn remove(path: &Path) {
    for pid in processes_in(path) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let _ = nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH);
    let _ = std::fs::remove_file(path);
}

/// The processes whose main thread lives in the namespace, the caller left out.
fn processes_in(path: &Path) -> BTreeSet<i32> {
    let Some(inode) = inode_of(path).filter(|inode| Some(*inode) != inode_of(Path::new("/proc/1/ns/net"))) else {
        return BTreeSet::new();
    };
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeSet::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own && inode_of(&PathBuf::from(format!("/proc/{pid}/ns/net"))) == Some(inode))
        .collect()
}
