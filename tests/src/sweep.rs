//! Names of what a lab leaves in the system, and the removal of what a crashed run left. Touches nothing whose owner lives.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::netns::{self, NETNS_DIR};

/// Where directories of labs live: short (unix sockets allow 107 bytes), root's own, gone after a reboot.
pub(crate) const RUN_DIR: &str = "/run";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A prefix no other lab on this machine has: `fb<pid>-<n>`.
pub(crate) fn fresh_prefix() -> String {
    format!("fb{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The process id in a name of ours.
fn owner(name: &str) -> Option<u32> {
    let (pid, rest) = name.strip_prefix("fb")?.split_once('-')?;
    let (number, _) = rest.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

/// Entries of ours in a directory, with their owner's process id.
fn entries_of_ours(dir: &str) -> Vec<(PathBuf, u32)> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter_map(|e| Some((e.path(), owner(e.file_name().to_str()?)?))).collect()
}

/// Namespaces and directories that belong to the labs of process `pid`.
#[must_use]
pub fn remains_of(pid: u32) -> Vec<PathBuf> {
    [NETNS_DIR, RUN_DIR]
        .into_iter()
        .flat_map(entries_of_ours)
        .filter(|(_, owner)| *owner == pid)
        .map(|(path, _)| path)
        .collect()
}

/// Removes namespaces, mounts and directories of labs whose process is gone; what it removed.
pub(crate) fn sweep() -> Vec<PathBuf> {
    let dead = |(_, pid): &(PathBuf, u32)| !Path::new(&format!("/proc/{pid}")).exists();
    let mut swept = Vec::new();
    for (path, _) in entries_of_ours(NETNS_DIR).into_iter().filter(dead) {
        netns::remove(&path);
        swept.push(path);
    }
    for (path, _) in entries_of_ours(RUN_DIR).into_iter().filter(dead) {
        remove_dir(&path);
        swept.push(path);
    }
    swept
}

/// Unmounts whatever is mounted on a directory of ours and removes it.
pub(crate) fn remove_dir(path: &Path) {
    let _ = nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH);
    let _ = std::fs::remove_dir_all(path);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_our_names_have_an_owner() {
        assert_eq!(owner("fb123-0-host"), Some(123));
        for foreign in ["fb-0-host", "fb123", "fb123-host", "fbx-0-a", "fb12-x-a", "host", "fb0"] {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }
}
