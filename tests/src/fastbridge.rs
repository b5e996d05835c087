//! Runs the `fastbridge` binary beside a lab's bridge: start, wait for `ready`, ask, stop. Knows the command line only (design: public
//! interfaces), nothing of the maps.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::lab::Lab;
use crate::run::{self, wait_until};

const READY_LIMIT: Duration = Duration::from_secs(180);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The binary under test: `FASTBRIDGE_BIN`, or `fastbridge` beside the running executable or one directory up (cargo puts test
/// executables into `deps/`).
///
/// # Errors
/// When there is none: the message says how to build it.
pub fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("FASTBRIDGE_BIN") {
        return Ok(named.into());
    }
    let own = std::env::current_exe().map_err(|e| Error::io("cannot find the running executable", e))?;
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join("fastbridge")).find(|path| path.is_file());
    found.ok_or_else(|| {
        let hint = "build it with `cargo xtask build` (or `cargo build -p bridge-user`), or name it in FASTBRIDGE_BIN";
        Error::Invalid(format!("no `fastbridge` beside {}: {hint}", own.display()))
    })
}

/// How to call the binary for one lab: works with and without a running manager.
#[derive(Debug, Clone)]
pub struct Control {
    binary: PathBuf,
    netns: PathBuf,
    pins: PathBuf,
    bridge: String,
    ovs_run_dir: Option<PathBuf>,
    wrapper: Vec<String>,
    variables: Vec<(String, String)>,
    libvirt: Option<String>,
}

impl Control {
    /// For a lab's host namespace and a pins directory (see [`crate::bpffs::Bpffs`]).
    pub fn new(lab: &Lab, pins: &Path) -> Result<Self> {
        Ok(Self::with_binary(lab, pins, binary()?))
    }

    /// Like [`Control::new`], with this binary.
    #[must_use]
    pub fn with_binary(lab: &Lab, pins: &Path, binary: PathBuf) -> Self {
        Self {
            binary,
            netns: lab.host().path().into(),
            pins: pins.into(),
            bridge: lab.bridge().into(),
            ovs_run_dir: lab.ovs().map(|ovs| ovs.run_dir().into()),
            wrapper: Vec::new(),
            variables: Vec::new(),
            libvirt: None,
        }
    }

    /// With `run --libvirt URI`.
    #[must_use]
    pub fn libvirt(mut self, uri: &str) -> Self {
        self.libvirt = Some(uri.into());
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Started by another program that becomes it, such as `setpriv` with its options.
    #[must_use]
    pub fn wrapped(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.into()).collect();
        self
    }

    /// A command `fastbridge --pins DIR <args>` inside the host namespace.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(run::find_tool("nsenter")?);
        command.arg(format!("--net={}", self.netns.display())).args(&self.wrapper).arg(&self.binary);
        command.arg("--pins").arg(&self.pins).args(args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.ovs_run_dir {
            command.env("OVS_RUNDIR", dir);
        }
        Ok(command)
    }

    /// Runs it to its end, whatever the exit status.
    pub fn output(&self, args: &[&str]) -> Result<Output> {
        run::output(&mut self.command(args)?, None)
    }

    /// Runs it to its end, or to SIGTERM after 15 s (then there is no exit code): the code, and what it said on stderr.
    pub fn ends(&self, args: &[&str]) -> Result<(Option<i32>, String)> {
        let timeout = run::find_tool("timeout")?.display().to_string();
        let wrapper = [timeout, "60".into()].into_iter().chain(self.wrapper.iter().cloned()).collect();
        let output = Self { wrapper, ..self.clone() }.output(args)?;
        // timeout(1): 124 when it had to end the program.
        let code = output.status.code().filter(|&code| code != 124);
        Ok((code, String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// `show WHAT --bridge NAME --json`.
    pub fn show(&self, what: &str) -> Result<Value> {
        let text = run::run(&mut self.command(&["--json", "show", what, "--bridge", &self.bridge])?, None)?;
        serde_json::from_str(&text)
            .map_err(|e| Error::Invalid(format!("`show {what} --json` is no JSON ({e}): {text}")))
    }

    /// `detach --bridge NAME`.
    pub fn detach(&self) -> Result<()> {
        run::run(&mut self.command(&["detach", "--bridge", &self.bridge])?, None).map(drop)
    }

    /// `run --topology FILE`; returns when it has said `ready: N ports` (60 s at most).
    ///
    /// # Errors
    /// When it ends before it is ready: the message holds its log.
    pub fn start(&self, topology: &Path) -> Result<Fastbridge> {
        let mut command = self.command(&["run", "--topology"])?;
        command
            .arg(topology)
            .args(self.libvirt.iter().flat_map(|uri| ["--libvirt", uri]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| Error::io(format!("cannot start {}", self.binary.display()), e))?;
        let (out, log) = (Lines::collect(child.stdout.take()), Lines::collect(child.stderr.take()));
        let mut fastbridge = Fastbridge { child, out, log, ports: 0, control: self.clone() };
        fastbridge.await_ready()?;
        Ok(fastbridge)
    }
}

/// Lines of a child's stream so far, read by a thread that ends with the stream, that is with the child.
#[derive(Debug)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn collect(stream: Option<impl Read + Send + 'static>) -> Self {
        let lines = Arc::default();
        let sink: Arc<Mutex<Vec<String>>> = Arc::clone(&lines);
        let reader = stream.map(|stream| {
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(std::io::Result::ok) {
                    sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            })
        });
        Self { lines, reader }
    }

    fn snapshot(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn complete(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// A running manager; killed (its pins stay) when dropped.
#[derive(Debug)]
pub struct Fastbridge {
    child: Child,
    out: Lines,
    log: Lines,
    ports: usize,
    control: Control,
}

impl Fastbridge {
    fn await_ready(&mut self) -> Result<()> {
        let mut ready = None;
        let mut ended = None;
        let waited = wait_until("fastbridge says `ready`", READY_LIMIT, || {
            ready = self.out.snapshot().iter().find_map(|line| ready_ports(line));
            ended = self.child.try_wait().ok().flatten();
            // Its last words may still be in the pipe when it has ended.
            ready.is_some() || (ended.is_some() && self.log.complete())
        });
        match (ready, ended) {
            (Some(ports), _) => {
                self.ports = ports;
                Ok(())
            }
            (None, status) => {
                let end =
                    status.map_or_else(|| waited.err().map(|e| e.to_string()).unwrap_or_default(), |s| s.to_string());
                Err(Error::Invalid(format!(
                    "fastbridge did not become ready ({end}); its log:\n{}",
                    self.log().join("\n")
                )))
            }
        }
    }

    /// The N of `ready: N ports`.
    #[must_use]
    pub fn ready_ports(&self) -> usize {
        self.ports
    }

    /// Its process id (nsenter has become it).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How to ask it, also after it is gone.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// What it wrote on stderr so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.snapshot()
    }

    /// Lines of its log that tell of an error or a panic: a passing case has none.
    #[must_use]
    pub fn errors_in_log(&self) -> Vec<String> {
        self.log().into_iter().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect()
    }

    /// SIGTERM, then waits for its end (10 s at most).
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait()
    }

    /// SIGKILL, then waits: a crash.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        self.wait()
    }

    /// Any signal, such as SIGSTOP to let the heartbeat grow stale.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).map_err(|e| Error::Invalid(e.to_string()))?;
        kill(Pid::from_raw(pid), signal).map_err(|e| Error::io(format!("cannot send {signal} to fastbridge"), e))
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        let mut status = None;
        wait_until("fastbridge ends", STOP_LIMIT, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })?;
        status.ok_or_else(|| Error::Invalid("fastbridge ended without a status".into()))
    }
}

impl Drop for Fastbridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ready_ports(line: &str) -> Option<usize> {
    line.strip_prefix("ready: ")?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_is_understood() {
        assert_eq!(ready_ports("ready: 3 ports"), Some(3));
        assert_eq!(ready_ports("ready"), None);
    }
}
