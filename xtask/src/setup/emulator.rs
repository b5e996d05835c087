//! What boots other kernels: QEMU, and virtme-ng in a Python environment of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::apt;
use crate::process::{find, run};

/// Programs and Debian's packages of them. virtme-ng builds its initramfs around a static busybox.
const TOOLS: [(&str, &str); 4] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("depmod", "kmod"),
    ("python3", "python3-venv"),
];
const VIRTME: &str = "virtme-ng";

/// virtme-ng, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Emulator {
    environment: PathBuf,
}

impl Emulator {
    /// The program.
    pub(crate) fn vng(&self) -> PathBuf {
        self.environment.join("bin/vng")
    }

    /// PATH with the environment first: virtme-ng calls its own parts by name.
    pub(crate) fn path(&self) -> std::ffi::OsString {
        let old = env::var_os("PATH").unwrap_or_default();
        let paths = [self.environment.join("bin"), "/usr/sbin".into()].into_iter().chain(env::split_paths(&old));
        env::join_paths(paths).unwrap_or(old)
    }
}

/// The emulator, installed if need be, with its environment in `cache`; the inner error says why there is none here.
///
/// # Errors
/// It could be installed, and that failed.
pub(crate) fn emulator(cache: &Path) -> Result<Result<Emulator, String>> {
    let missing: Vec<_> =
        TOOLS.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    let emulator = Emulator { environment: cache.join("environment") };
    if missing.is_empty() && emulator.vng().exists() {
        return Ok(Ok(emulator));
    }
    if let Some(why) = apt::unusable() {
        let and =
            if missing.is_empty() { String::new() } else { format!(", and these are missing: {}", missing.join(", ")) };
        return Ok(Err(format!("{why}{and}")));
    }
    if !missing.is_empty() {
        apt::update()?;
        apt::install(&missing)?;
    }
    let _broken = fs::remove_dir_all(&emulator.environment);
    let python = find("python3").context("python3 is not there")?;
    if !Command::new(&python).args(["-c", "import ensurepip"]).status().is_ok_and(|status| status.success()) {
        apt::install(&["python3-venv"])?;
    }
    run(Command::new(python).args(["-m", "venv"]).arg(&emulator.environment))?;
    run(Command::new(emulator.environment.join("bin/pip")).args(["install", "--quiet", VIRTME]))?;
    Ok(Ok(emulator))
}
