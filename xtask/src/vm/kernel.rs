//! A kernel from Debian's packages and what boots it, kept under `target/vm`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::Release;
use crate::{
    process::{find, output, root, run},
    setup::{Emulator, apt, emulator},
};

/// An unpacked kernel.
pub(super) struct Kernel {
    /// What the package was unpacked into: `boot`, `lib/modules`.
    pub(super) dir: PathBuf,
    pub(super) emulator: Emulator,
}

impl Kernel {
    /// Unpacked and ready; the inner error says why it cannot be had on this machine.
    ///
    /// # Errors
    /// It could be had, and getting it failed.
    pub(super) fn get(release: Release) -> Result<Result<Self, String>> {
        let cache = root().join("target/vm");
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        let emulator = match emulator(&cache)? {
            Ok(emulator) => emulator,
            Err(why) => return Ok(Err(why)),
        };
        let dir = cache.join(release.name());
        if !is_whole(&dir) {
            // The lists of a fresh machine are empty.
            let found = package(release).or_else(|| apt::update().ok().and_then(|()| package(release)));
            let Some(package) = found else {
                return Ok(Err(format!("no Debian package of Linux {} is offered here", release.name())));
            };
            unpack(&package, &dir)?;
        }
        Ok(Ok(Self { dir, emulator }))
    }

    /// The image that is booted.
    pub(super) fn image(&self) -> Result<PathBuf> {
        let boot = self.dir.join("boot");
        let mut entries = fs::read_dir(&boot).with_context(|| format!("cannot read {}", boot.display()))?.flatten();
        let image = entries.find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz-"));
        Ok(image.context("the package has no vmlinuz")?.path())
    }
}

/// `modules.dep` comes last.
fn is_whole(dir: &Path) -> bool {
    let modules = fs::read_dir(dir.join("lib/modules"));
    modules.is_ok_and(|mut found| {
        found.any(|kernel| kernel.is_ok_and(|kernel| kernel.path().join("modules.dep").exists()))
    })
}

/// The newest package: a plain kernel, neither cloud nor realtime.
fn package(release: Release) -> Option<String> {
    let pattern = match release {
        Release::V6_1 => r"^linux-image-6\.1\.[0-9]+-[0-9]+-amd64$",
        Release::Here => return None,
        Release::V6_12 => r"^linux-image-6\.12\.[0-9]+\+deb[0-9]+-amd64$",
    };
    let names = output("apt-cache", &["search", "--names-only", pattern])?;
    newest(names.lines().filter_map(|line| line.split_whitespace().next())).map(str::to_owned)
}

/// By the numbers in the names, one by one.
fn newest<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    names.max_by_key(|name| numbers(name))
}

fn unpack(package: &str, dir: &Path) -> Result<()> {
    let _old = fs::remove_dir_all(dir);
    apt::unpack(package, dir)?;
    let kernel = fs::read_dir(dir.join("lib/modules"))?.flatten().next().context("the package has no modules")?;
    let depmod = find("depmod").context("no depmod: install kmod")?;
    run(Command::new(depmod).arg("-b").arg(dir).arg(kernel.file_name()))?;
    ensure!(is_whole(dir), "depmod wrote no modules.dep");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_told_by_number() {
        let names = ["linux-image-6.1.0-9-amd64", "linux-image-6.1.0-56-amd64", "linux-image-6.1.0-55-amd64"];
        assert_eq!(newest(names.into_iter()), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(newest([].into_iter()), None);
    }
}
