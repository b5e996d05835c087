//! How many files may be open: the links of every port are held open, and a process may have 1024 by default, which is some 300 ports.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

/// Raises the soft limit to the hard one, which needs no privilege.
pub(super) fn raise_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!("the limit of open files cannot be raised, many ports may find it reached: {error}");
    }
}
