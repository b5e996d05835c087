//! A process that the lab runs beside itself.

use std::process::Child;

/// A child that is killed and reaped when dropped.
#[derive(Debug)]
pub(super) struct Daemon(pub(super) Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
