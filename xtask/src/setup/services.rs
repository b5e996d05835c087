//! Keeps package scripts from starting services: Debian asks `/usr/sbin/policy-rc.d`, and 101 means no.
//!
//! A file that is there already is the operator's. If it denies anyway it stays; otherwise it is moved aside and put
//! back. A run that was killed in between is mended by the next.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

const DENY: &str =
    "#!/bin/sh\n# Put here by `cargo xtask setup` while it installs packages; safe to remove.\nexit 101\n";

/// While it is held, no service starts.
#[derive(Debug)]
pub(crate) struct NotStarted {
    policy: PathBuf,
    ours: bool,
}

impl NotStarted {
    /// Denies every start on this machine.
    pub(crate) fn hold() -> Result<Self> {
        outlive_interrupts()?;
        let policy = Path::new("/usr/sbin/policy-rc.d");
        Self::hold_at(policy).with_context(|| format!("{} cannot be changed", policy.display()))
    }

    fn hold_at(policy: &Path) -> io::Result<Self> {
        let mut held = Self { policy: policy.into(), ours: fs::read_to_string(policy).is_ok_and(|text| text == DENY) };
        held.give_back()?;
        if policy.exists() {
            if denies(policy) {
                return Ok(held);
            }
            fs::rename(policy, held.aside())?;
        }
        // From here on a failure leaves it to Drop to give back what was there.
        held.ours = true;
        fs::write(policy, DENY)?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        Ok(held)
    }

    /// Allows again what was allowed before.
    pub(crate) fn release(mut self) -> Result<()> {
        let policy = self.policy.display().to_string();
        self.give_back().with_context(|| format!("{policy} could not be put back as it was; it denies service starts"))
    }

    fn aside(&self) -> PathBuf {
        self.policy.with_extension("d.before-xtask")
    }

    fn give_back(&mut self) -> io::Result<()> {
        if !self.ours {
            return Ok(());
        }
        if self.aside().exists() {
            fs::rename(self.aside(), &self.policy)?;
        } else if self.policy.exists() {
            fs::remove_file(&self.policy)?;
        }
        self.ours = false;
        Ok(())
    }
}

impl Drop for NotStarted {
    fn drop(&mut self) {
        if let Err(error) = self.give_back() {
            eprintln!("{} still denies service starts: {error}", self.policy.display());
        }
    }
}

/// Whether the operator's own policy denies the starts that would bother us.
fn denies(policy: &Path) -> bool {
    ["openvswitch-switch", "prometheus", "libvirtd"].iter().all(|service| code(policy, service) == Some(101))
}

/// What the policy answers. A file just written may still be open in a child that another thread has just made: then it is busy.
fn code(policy: &Path, service: &str) -> Option<i32> {
    for _ in 0..50 {
        match Command::new(policy).args([service, "start"]).status() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => thread::sleep(Duration::from_millis(20)),
            status => return status.ok()?.code(),
        }
    }
    None
}

/// Ctrl-C ends apt, and us after we have put things back: a handler, unlike "ignore", is not inherited by children.
fn outlive_interrupts() -> Result<()> {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler touches nothing, so it may interrupt anything.
        unsafe { sigaction(signal, &action) }.context("signals cannot be held back")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(content: Option<&str>) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy-rc.d");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        (directory, path)
    }

    fn files(path: &Path) -> usize {
        fs::read_dir(path.parent().unwrap()).unwrap().count()
    }

    #[test]
    fn with_no_policy_there_is_one_only_while_it_is_held() {
        let (_directory, path) = policy(None);
        let held = NotStarted::hold_at(&path).unwrap();
        assert!(denies(&path));
        held.release().unwrap();
        assert_eq!(files(&path), 0);
    }

    #[test]
    fn an_operators_policy_that_allows_is_put_back_as_it_was() {
        let allow = "#!/bin/sh\nexit 0\n";
        let (_directory, path) = policy(Some(allow));
        let held = NotStarted::hold_at(&path).unwrap();
        assert!(denies(&path));
        drop(held);
        assert_eq!(fs::read_to_string(&path).unwrap(), allow);
        assert_eq!((fs::metadata(&path).unwrap().permissions().mode() & 0o777, files(&path)), (0o755, 1));
    }

    #[test]
    fn an_operators_policy_that_denies_is_not_touched() {
        let deny = "#!/bin/sh\nexit 101\n";
        let (_directory, path) = policy(Some(deny));
        let held = NotStarted::hold_at(&path).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), files(&path)), (deny, 1));
        held.release().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), deny);
    }

    #[test]
    fn a_run_that_was_killed_is_mended_by_the_next() {
        for before in [None, Some("#!/bin/sh\nexit 0\n")] {
            let (_directory, path) = policy(before);
            std::mem::forget(NotStarted::hold_at(&path).unwrap());
            NotStarted::hold_at(&path).unwrap().release().unwrap();
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), before);
            assert_eq!(files(&path), usize::from(before.is_some()));
        }
    }
}
