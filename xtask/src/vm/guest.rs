//! One machine for one command: boots, runs it, gives its output and its exit code, and is gone.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::kernel::Kernel;
use crate::process::root;

/// What every command finds: modules loaded, and a root that is this machine's files, read-only, behind a cache: virtme-ng mounts them
/// without one, and then each start of a program reads it anew, ten times slower. With places to write to, bpffs and the loopback. The checkout is
/// seen even if it lies in one of those places.
const PREPARE: &str = r#"
mount -t tmpfs tmpfs /run
mkdir "$VM_ROOT" /run/checkout
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose cached "$VM_ROOT" || exit 1
mount --bind "$VM_ROOT$VM_MODULES" /lib/modules
modprobe -a veth bridge br_netfilter tun openvswitch cls_bpf sch_ingress
mount --bind "$VM_ROOT$VM_CHECKOUT" /run/checkout
for dir in run tmp; do mount -t tmpfs tmpfs "$VM_ROOT/$dir"; done
mkdir -p "$VM_ROOT$VM_CHECKOUT"
mount --bind /run/checkout "$VM_ROOT$VM_CHECKOUT" || exit 1
for dir in /proc /sys /dev "$VM_OUT"; do mount --rbind "$dir" "$VM_ROOT$dir" || exit 1; done
mount -t bpf bpf "$VM_ROOT/sys/fs/bpf"
ip link set lo up
"#;
/// Where that root is mounted.
const ROOT: &str = "/run/root";
/// The files once more, for that mount.
const CACHED: &str = "-fsdev local,id=cached,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=cached,mount_tag=cached";
/// Tells tests that what they wait for takes longer here.
const PATIENCE: &str = "FASTBRIDGE_PATIENCE=10";
/// What costs an emulated machine time and gives a test nothing.
const KERNEL: [&str; 2] = ["mitigations=off", "no5lvl"];
const POLL: Duration = Duration::from_millis(300);

/// A kernel, and how it is started.
pub(super) struct Guest {
    kernel: Kernel,
    image: PathBuf,
}

impl Guest {
    pub(super) fn new(kernel: Kernel) -> Result<Self> {
        let image = kernel.image()?;
        Ok(Self { kernel, image })
    }

    /// Runs a line of shell; its output goes to stdout while it runs. Its exit code.
    ///
    /// # Errors
    /// The machine did not start, or ended before the command did.
    pub(super) fn run(&self, line: &str) -> Result<u8> {
        self.run_telling(line, |text| {
            let mut out = std::io::stdout();
            out.write_all(text).and_then(|()| out.flush()).context("cannot print")
        })
    }

    /// As [`Guest::run`], with the output going to `tell`, piece by piece.
    pub(super) fn run_telling(&self, line: &str, mut tell: impl FnMut(&[u8]) -> Result<()>) -> Result<u8> {
        // Not in /tmp, which is another one there.
        let dir = tempfile::Builder::new().prefix("run-").tempdir_in(root().join("target/vm"));
        let dir = dir.context("cannot make a directory to exchange files in")?;
        let [script, out, status] = ["script", "out", "status"].map(|name| dir.path().join(name));
        fs::write(&out, "")?;
        let modules = self.kernel.dir.join("lib/modules");
        let inner = dir.path().join("command");
        fs::write(&inner, format!("cd '{}'\n{line}\n", root().display()))?;
        let text = format!(
            "export VM_MODULES='{}' VM_OUT='{}' VM_CHECKOUT='{}' VM_ROOT={ROOT} {PATIENCE}\n({PREPARE}) >'{out}' 2>&1 || exit 1\n\
             chroot {ROOT} bash '{}' >'{out}' 2>&1 </dev/null\necho $? >'{}'\n",
            modules.display(),
            dir.path().display(),
            root().display(),
            inner.display(),
            status.display(),
            out = out.display(),
        );
        fs::write(&script, text)?;
        let console = self.boot(dir.path(), &script, &mut File::open(&out)?, &mut tell)?;
        match fs::read_to_string(&status).ok().and_then(|code| code.trim().parse().ok()) {
            Some(code) => Ok(code),
            None => bail!("the machine ended before the command did; its console:\n{}", last_lines(&console)),
        }
    }

    /// Runs the machine to its end, and tells meanwhile what comes into `output`. What its console said.
    fn boot(
        &self,
        dir: &Path,
        script: &Path,
        output: &mut File,
        tell: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let mut command = self.command(dir, script);
        // A pipe: QEMU opens what we give it anew, and would write over a file from its beginning.
        let (mut console, end) = std::io::pipe()?;
        let mut machine = command.stdout(end.try_clone()?).stderr(end).spawn().context("virtme-ng did not start")?;
        drop(command);
        let console = thread::spawn(move || {
            let mut said = Vec::new();
            console.read_to_end(&mut said).map(|_| said)
        });
        let mut piece = Vec::new();
        loop {
            let ended = machine.try_wait()?;
            piece.clear();
            output.read_to_end(&mut piece)?;
            tell(&piece)?;
            if ended.is_some() {
                break;
            }
            thread::sleep(POLL);
        }
        Ok(console.join().unwrap_or_else(|_| Ok(Vec::new()))?)
    }

    fn command(&self, dir: &Path, script: &Path) -> Command {
        let mut command = Command::new(self.kernel.emulator.vng());
        command.env("PATH", self.kernel.emulator.path());
        command.arg("--run").arg(&self.image);
        command.args(["--disable-kvm", "--cpus", "2", "--memory", "3G", "--user", "root", "--verbose"]);
        command.arg(format!("--qemu-opts={CACHED}")).args(KERNEL.iter().flat_map(|option| ["--append", option]));
        command.arg("--rwdir").arg(dir).arg("--").arg(format!("bash {}", script.display()));
        command.current_dir(root()).stdin(Stdio::null());
        command
    }
}

fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
