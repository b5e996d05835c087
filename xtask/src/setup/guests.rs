//! What the labs' guests boot: Debian's cloud kernel, unpacked beside what cargo builds. Never installed: an operator's machine keeps its kernel.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::apt;
use crate::{install::target, process::output};

/// The package that names the newest.
const NEWEST: &str = "linux-image-cloud-amd64";
/// What to do where there are no such packages.
pub(crate) const BY_HAND: &str = "unpack a Debian package linux-image-*-cloud-amd64 (dpkg-deb -x) and name that directory in FASTBRIDGE_GUEST_KERNEL";

/// Fetches and unpacks it to where the labs look for it.
pub(crate) fn fetch() -> Result<()> {
    let listed = output("apt-cache", &["depends", "--important", NEWEST]).unwrap_or_default();
    let package = depends_on(&listed).with_context(|| format!("no package {NEWEST} is offered here; {BY_HAND}"))?;
    let place = target().join("vm/cloud");
    let fresh = target().join("vm/cloud.new");
    for old in [&fresh, &place] {
        let _none = fs::remove_dir_all(old);
    }
    apt::unpack(package, &fresh)?;
    // In one step, so that a run that was ended leaves none or a whole one.
    fs::rename(&fresh, &place).with_context(|| format!("cannot make {}", place.display()))
}

/// Whether the labs find one.
pub(crate) fn is_there() -> bool {
    bridge_tests::lab::guest_kernel().is_ok_and(|image| Path::new(&image).is_file())
}

/// The first `Depends: linux-image-6.1.0-49-cloud-amd64`.
fn depends_on(listed: &str) -> Option<&str> {
    let names = listed.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.map(str::trim).find(|name| name.starts_with("linux-image-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_what_the_newest_depends_on() {
        let listed = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-49-cloud-amd64\n";
        assert_eq!(depends_on(listed), Some("linux-image-6.1.0-49-cloud-amd64"));
        assert_eq!(depends_on("linux-image-cloud-amd64\n"), None);
    }
}
