//! Labs that outlive the process that built them: named by a word instead of a process id, so that no sweep takes them for stale and
//! any later process finds them by their names alone. There is no other state to lose. Must not remove a lab of another name.

use std::path::{Path, PathBuf};

use super::Lab;
use crate::bpffs::Bpffs;
use crate::error::{Error, Result};
use crate::netns::{self, NETNS_DIR, Netns};
use crate::sweep::{self, RUN_DIR};

/// Leaves room in `fb<word>-<role>` for the longest role.
const WORD_MAX: usize = 12;

/// The name of a kept lab, whether it exists or not. Namespaces are `fb<word>-<role>`, directories `/run/fb<word>-*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    prefix: String,
}

impl Kept {
    /// The kept lab of that name: 1 to 12 lower-case letters. (A digit could be taken for the process id of an ordinary lab.)
    pub fn named(word: &str) -> Result<Self> {
        if word.is_empty() || word.len() > WORD_MAX || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Error::Invalid(format!("`{word}` cannot name a lab: use 1 to {WORD_MAX} letters a-z")));
        }
        Ok(Self { prefix: format!("fb{word}") })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether anything of it is there, be it only what a crash left of it.
    #[must_use]
    pub fn exists(&self) -> bool {
        !self.entries(NETNS_DIR).is_empty() || !self.entries(RUN_DIR).is_empty()
    }

    /// Its namespaces by their roles: `host`, machines, `router`; sorted.
    #[must_use]
    pub fn roles(&self) -> Vec<String> {
        let names = self.entries(NETNS_DIR).into_iter().filter_map(|(_, role)| role);
        let mut roles: Vec<String> = names.collect();
        roles.sort();
        roles
    }

    /// A namespace of it by its role; dropping it leaves the namespace alone.
    pub fn netns(&self, role: &str) -> Result<Netns> {
        let roles = self.roles();
        if !roles.iter().any(|known| known == role) {
            let known =
                if roles.is_empty() { "the lab is not up".into() } else { format!("there are {}", roles.join(", ")) };
            return Err(Error::Invalid(format!("the lab has no `{role}`: {known}")));
        }
        Netns::existing(&format!("{}-{role}", self.prefix))
    }

    /// `OVS_RUNDIR` of its Open vSwitch, when it has one.
    #[must_use]
    pub fn ovs_run_dir(&self) -> Option<PathBuf> {
        Some(self.directory("ovs")).filter(|path| path.is_dir())
    }

    /// Its bpffs, for `--pins`.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.directory("bpf")
    }

    /// Takes the lab down, or what a crash left of it: ends (by pid) every process inside its namespaces, its switch included, then removes
    /// namespaces, mounts and directories. What it removed.
    #[must_use]
    pub fn remove(&self) -> Vec<PathBuf> {
        let mut removed = Vec::new();
        for (path, _) in self.entries(NETNS_DIR) {
            netns::remove(&path);
            removed.push(path);
        }
        for (path, _) in self.entries(RUN_DIR) {
            sweep::remove_dir(&path);
            removed.push(path);
        }
        removed
    }

    fn directory(&self, what: &str) -> PathBuf {
        Path::new(RUN_DIR).join(format!("{}-{what}", self.prefix))
    }

    /// Paths in a directory with what follows `fb<word>-`.
    fn entries(&self, directory: &str) -> Vec<(PathBuf, Option<String>)> {
        let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
        let role = |name: &str| Some(name.strip_prefix(&self.prefix)?.strip_prefix('-')?.to_owned());
        entries
            .flatten()
            .map(|entry| (entry.path(), entry.file_name().to_str().and_then(role)))
            .filter(|(_, role)| role.is_some())
            .collect()
    }
}

impl Lab {
    /// Leaves the lab in place for good, with a bpffs for pins: from here on only [`Kept::remove`] takes it down. The handles are forgotten on
    /// purpose, because dropping them is what removes a lab; its daemons become children of init.
    ///
    /// # Errors
    /// When the lab was not built with [`super::Builder::kept`] under that name (it would be swept as stale), or no bpffs can be mounted;
    /// the lab is then removed.
    pub fn keep(self, kept: &Kept) -> Result<()> {
        if self.prefix != kept.prefix {
            return Err(Error::Invalid(format!("the lab is called {}, not {}", self.prefix, kept.prefix)));
        }
        Bpffs::mount_and_keep(kept.pins())?;
        std::mem::forget(self);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_kept_lab_is_never_taken_for_a_stale_one() {
        for word in ["", "1", "lab1", "a-b", "Lab", "averyverylongname"] {
            assert!(Kept::named(word).is_err(), "{word}");
        }
        assert_eq!(Kept::named("lab").unwrap().prefix(), "fblab");
    }
}
