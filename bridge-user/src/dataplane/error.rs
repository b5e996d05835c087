//! What can go wrong between us and the kernel.

use std::{error::Error, io, path::PathBuf};

use aya::{maps::MapError, programs::ProgramError};

use super::object::LoadError;

/// An error of the dataplane.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// The pins directory cannot be used as it is.
    #[error("{path}: {what}")]
    Pins {
        /// Which path.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// Another manager holds the bridge.
    #[error("another manager holds {0}: stop it first (systemctl stop fastbridge), or use another --pins directory")]
    Locked(PathBuf),
    /// Nothing is pinned for a bridge.
    #[error("nothing is pinned in {0}: fastbridge does not run on that bridge")]
    NothingPinned(PathBuf),
    /// A file operation on a pin.
    #[error("{path}: {error}")]
    Io {
        /// Which path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Programs or maps were refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A map operation failed.
    #[error("map {map}: {}", told(error))]
    Map {
        /// Name of the map.
        map: &'static str,
        /// Why.
        error: MapError,
    },
    /// A map has no room left.
    #[error("map {map} is full; raise `{limit}` in [limits] and restart")]
    Full {
        /// Name of the map.
        map: &'static str,
        /// The limit's name.
        limit: &'static str,
    },
    /// A program could not be attached.
    #[error("cannot attach to {name}: {}", told(error.as_ref()))]
    Attach {
        /// Interface.
        name: String,
        /// Why.
        error: Box<ProgramError>,
    },
    /// Someone else's program holds the hook.
    #[error("{name}: {what}")]
    HookTaken {
        /// Interface.
        name: String,
        /// Who or what, and what to do.
        what: String,
    },
    /// The notes that go with the maps cannot be read.
    #[error("the notes beside the maps cannot be read: {0}")]
    Notes(String),
}

impl DataplaneError {
    /// Whether this is a refusal (exit code 3): privilege, kernel feature, or somebody else's hook or lock.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Pins { .. } | Self::Locked(_) | Self::HookTaken { .. } | Self::Load(_) => true,
            Self::Io { error, .. } => error.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }
}

/// An error with its causes, each said once: aya's own words often leave out what the kernel answered.
pub(super) fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut denied = false;
    let mut next = Some(error);
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        let code = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        denied |= matches!(code, Some(libc::EPERM | libc::EACCES));
        next = cause.source();
    }
    let hint = "; run as root, or give CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_DAC_OVERRIDE";
    if denied { text + hint } else { text }
}

/// Adds a path to an I/O error.
pub(super) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> DataplaneError {
    let path = path.into();
    move |error| DataplaneError::Io { path, error }
}
