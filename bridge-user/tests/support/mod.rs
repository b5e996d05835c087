//! Network namespaces for tests of the sources: made and removed here, named after this process.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace with loopback up; gone when dropped.
pub(crate) struct Netns(pub(crate) String);

impl Netns {
    /// Needs root.
    pub(crate) fn new() -> Self {
        let name = format!("fbsrc{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run("ip", &["netns", "add", &name]);
        let this = Self(name);
        this.run("ip link set lo up");
        this
    }

    /// Runs a command line (split at blanks) inside; fails the test if it fails. Its standard output.
    pub(crate) fn run(&self, line: &str) -> String {
        let mut args = vec![format!("--net=/var/run/netns/{}", self.0)];
        args.extend(line.split_whitespace().map(String::from));
        run("nsenter", &args)
    }

    /// Runs a future on a runtime of its own, on a thread inside the namespace.
    pub(crate) fn block_on<T: Send>(&self, test: impl AsyncFnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let namespace = File::open(format!("/var/run/netns/{}", self.0)).unwrap();
                nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Runs a program; its standard output.
pub(crate) fn run<S: AsRef<std::ffi::OsStr> + std::fmt::Debug>(program: &str, args: &[S]) -> String {
    let out = Command::new(program).args(args).output().unwrap_or_else(|e| {
        panic!("{program} cannot be started ({e}); this test needs root, iproute2, ethtool and openvswitch-switch")
    });
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?} failed; this test needs root: {error}");
    String::from_utf8(out.stdout).unwrap()
}
