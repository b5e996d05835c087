//! A BPF file system of a lab's own, for `--pins`. Mounted in the caller's mount namespace, so that every process of the lab sees it.

use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use crate::error::{Error, Result};
use crate::sweep;

/// A mounted bpffs; unmounted (its pins with it) and removed when dropped.
#[derive(Debug)]
pub struct Bpffs {
    path: PathBuf,
}

impl Bpffs {
    /// Mounts a new, empty bpffs on a directory of its own.
    pub fn mount() -> Result<Self> {
        Self::mount_at(Path::new(sweep::RUN_DIR).join(format!("{}-bpf", sweep::fresh_prefix())))
    }

    /// Mounts one that stays after this process, in the directory of a kept lab (see [`crate::lab::Kept`]), which removes it.
    pub(crate) fn mount_and_keep(path: PathBuf) -> Result<()> {
        Self::mount_at(path).map(std::mem::forget)
    }

    fn mount_at(path: PathBuf) -> Result<Self> {
        std::fs::create_dir(&path).map_err(|e| Error::io(format!("cannot create {}", path.display()), e))?;
        let bpffs = Self { path };
        mount(Some("bpf"), &bpffs.path, Some("bpf"), MsFlags::empty(), Some("mode=0700")).map_err(|e| {
            Error::io(format!("cannot mount a bpffs on {} (root? CONFIG_BPF_SYSCALL?)", bpffs.path.display()), e)
        })?;
        Ok(bpffs)
    }

    /// The mount point: what `--pins` takes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        sweep::remove_dir(&self.path);
    }
}
