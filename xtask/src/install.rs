//! `install`: the binary, the systemd unit and an example topology, in their places. Starts and enables nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{build::Build, process::root};

const UNIT_BINARY: &str = "/usr/local/sbin/fastbridge";

/// Install the binary, the systemd unit and an example topology.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// The binary goes to PREFIX/sbin.
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// Put everything under this directory instead of /, for packages.
    #[arg(long, default_value = "/")]
    destdir: PathBuf,
    /// Install this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
}

impl Install {
    pub(crate) fn run(&self) -> Result<()> {
        let built = match &self.binary {
            Some(binary) => binary.clone(),
            None => {
                Build::release().run()?;
                target().join("release/fastbridge")
            }
        };
        let program = self.prefix.join("sbin/fastbridge");
        let binary = fs::read(&built).with_context(|| format!("{} cannot be read", built.display()))?;
        self.put(&program, &binary, 0o755)?;

        let unit = packaged("fastbridge.service")?.replace(UNIT_BINARY, &program.display().to_string());
        self.put(Path::new("/etc/systemd/system/fastbridge.service"), unit.as_bytes(), 0o644)?;

        let topology = Path::new("/etc/fastbridge/topology.toml");
        if self.under(topology).exists() {
            println!("kept       {} (it is yours)", self.under(topology).display());
        } else {
            self.put(topology, packaged("topology.example.toml")?.as_bytes(), 0o644)?;
        }
        println!(
            "\nNext:\n  1. edit /etc/fastbridge/topology.toml: bridge, ports, policy\n  \
             2. {program} check --topology /etc/fastbridge/topology.toml\n  \
             3. systemctl daemon-reload && systemctl enable --now fastbridge\n  \
             4. {program} show status",
            program = program.display()
        );
        Ok(())
    }

    /// `path` below the destination directory.
    fn under(&self, path: &Path) -> PathBuf {
        self.destdir.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Writes beside the target, then renames: a running binary is replaced, not written into.
    fn put(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let path = self.under(path);
        let refused = || format!("{} cannot be written; are you root, or is --destdir wrong?", path.display());
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).with_context(refused)?;
        }
        let fresh = path.with_extension("new");
        fs::write(&fresh, content).with_context(refused)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(mode)).with_context(refused)?;
        fs::rename(&fresh, &path).with_context(refused)?;
        println!("installed  {}", path.display());
        Ok(())
    }
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn packaged(file: &str) -> Result<String> {
    let path = root().join("packaging").join(file);
    fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}

#[cfg(test)]
mod tests;
