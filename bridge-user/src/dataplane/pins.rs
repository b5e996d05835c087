//! Where things are pinned: `DIR/<bridge>/maps-<abi id>/<MAP>` and `DIR/<bridge>/links/<ifindex>-<hook point>`.
//!
//! A directory's lock is held on the directory itself, so that it ends with its holder. Must not mount anything: pins
//! on a private mount would die with the process.

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::error::{DataplaneError, at};
use crate::desired::HookPoint;

/// The pins of one bridge.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

/// Held as long as this manager owns the bridge.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] Flock<File>); // held, never read

impl Pins {
    /// The pins of `bridge` under `dir`; looks at nothing yet.
    pub fn new(dir: &Path, bridge: &str) -> Self {
        Self { root: dir.join(encode(bridge)) }
    }

    /// The bridge's own directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directories, mode 0700.
    ///
    /// # Errors
    /// [`DataplaneError::Pins`] with what to do when `dir` is not on a bpffs.
    pub fn create(&self) -> Result<(), DataplaneError> {
        on_bpffs(&self.root)?;
        make(&self.root)?;
        make(&self.links())
    }

    /// Takes the bridge for this manager.
    ///
    /// # Errors
    /// [`DataplaneError::Locked`] when another manager lives.
    pub fn lock(&self) -> Result<Lock, DataplaneError> {
        let directory = File::open(&self.root).map_err(at(&self.root))?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Lock(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Err(DataplaneError::Locked(self.root.clone())),
            Err((_, errno)) => Err(at(&self.root)(errno.into())),
        }
    }

    /// Directory of the maps of one ABI.
    pub fn maps(&self, abi: u64) -> PathBuf {
        self.root.join(format!("maps-{abi:016x}"))
    }

    /// Makes the directory of the maps; whether it was there before.
    ///
    /// # Errors
    /// [`DataplaneError::Io`].
    pub fn create_maps(&self, abi: u64) -> Result<bool, DataplaneError> {
        let path = self.maps(abi);
        let existed = path.exists();
        make(&path)?;
        Ok(existed)
    }

    /// Every directory of maps.
    ///
    /// # Errors
    /// [`DataplaneError::Io`] when the bridge's directory cannot be read.
    pub fn all_maps(&self) -> Result<Vec<PathBuf>, DataplaneError> {
        let mut found = entries(&self.root)?;
        found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("maps-")));
        Ok(found)
    }

    /// Directory of the links.
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// Where one link is pinned.
    pub fn link(&self, ifindex: u32, point: HookPoint) -> PathBuf {
        self.links().join(format!("{ifindex}-{}", point_name(point)))
    }

    /// Every pinned link: interface, hook point, path.
    ///
    /// # Errors
    /// [`DataplaneError::Io`] when the directory cannot be read.
    pub fn all_links(&self) -> Result<Vec<(u32, HookPoint, PathBuf)>, DataplaneError> {
        if !self.links().exists() {
            return Ok(Vec::new()); // a manager died while it made the directories
        }
        let found = entries(&self.links())?;
        Ok(found
            .into_iter()
            .filter_map(|path| parse_link(&path).map(|(ifindex, point)| (ifindex, point, path)))
            .collect())
    }

    /// Removes a directory of maps.
    ///
    /// # Errors
    /// [`DataplaneError::Io`].
    pub fn remove_dir(path: &Path) -> Result<(), DataplaneError> {
        for entry in entries(path)? {
            fs::remove_file(&entry).map_err(at(&entry))?;
        }
        fs::remove_dir(path).map_err(at(path))
    }

    /// Removes the bridge's directory with all maps; links must be gone already.
    ///
    /// # Errors
    /// [`DataplaneError::Io`].
    pub fn remove(&self) -> Result<(), DataplaneError> {
        for maps in self.all_maps()? {
            Self::remove_dir(&maps)?;
        }
        if self.links().exists() {
            Self::remove_dir(&self.links())?;
        }
        fs::remove_dir(&self.root).map_err(at(&self.root))
    }
}

/// Names of the bridges that have pins under `dir`; none if there is no such directory.
pub fn pinned_bridges(dir: &Path) -> Vec<String> {
    let Ok(found) = entries(dir) else { return Vec::new() };
    let mut names: Vec<_> = found
        .iter()
        .filter(|path| path.join("links").is_dir())
        .filter_map(|path| Some(decode(path.file_name()?.to_str()?)))
        .collect();
    names.sort();
    names
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, DataplaneError> {
    let listed = fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    listed.map_err(at(path))
}

fn make(path: &Path) -> Result<(), DataplaneError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

/// The nearest directory that exists must lie on a bpffs.
fn on_bpffs(path: &Path) -> Result<(), DataplaneError> {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let found = statfs(existing).map_err(|errno| at(existing)(errno.into()))?;
    if found.filesystem_type() == BPF_FS_MAGIC {
        return Ok(());
    }
    let what = "is not on a BPF file system, where programs outlive their manager; mount one (mount -t bpf bpf \
                /sys/fs/bpf), or name another directory with --pins. Inside `ip netns exec` /sys hides the host's: use \
                `nsenter --net=...`";
    Err(DataplaneError::Pins { path: existing.into(), what: what.into() })
}

fn point_name(point: HookPoint) -> &'static str {
    match point {
        HookPoint::Xdp => "xdp",
        HookPoint::TcIngress => "in",
        HookPoint::TcWatch => "watch",
        HookPoint::TcEgress => "out",
    }
}

fn parse_link(path: &Path) -> Option<(u32, HookPoint)> {
    let (ifindex, name) = path.file_name()?.to_str()?.split_once('-')?;
    let point = HookPoint::ALL.into_iter().find(|&point| point_name(point) == name)?;
    Some((ifindex.parse().ok()?, point))
}

/// A bpffs refuses dots in names, which bridges may have.
fn encode(bridge: &str) -> String {
    bridge.replace('%', "%25").replace('.', "%2e").replace('/', "%2f")
}

fn decode(name: &str) -> String {
    name.replace("%2f", "/").replace("%2e", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_bpffs() {
        for name in ["br0", "br0.100", "a%2eb", "100%"] {
            assert!(!encode(name).contains('.'));
            assert_eq!(decode(&encode(name)), name);
        }
    }

    #[test]
    fn links_are_found_by_their_name() {
        let pins = Pins::new(Path::new("/p"), "br0");
        for point in HookPoint::ALL {
            assert_eq!(parse_link(&pins.link(70_000, point)), Some((70_000, point)));
        }
        assert_eq!(parse_link(Path::new("/p/br0/links/x-in")), None);
    }
}
