//! What can go wrong while a lab is built, used or taken down. Sentences tell the person at the terminal what to do.

use std::io;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program the lab runs is not installed.
    #[error("`{tool}` is not installed: run `cargo xtask setup`, which installs what the labs need")]
    MissingTool {
        /// The program's name.
        tool: String,
    },
    /// A program ran and failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// Program and arguments.
        command: String,
        /// Its exit status in words.
        status: String,
        /// What it wrote on stderr, or on stdout when stderr was empty.
        output: String,
    },
    /// The kernel or the file system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The lab will not do this (initial namespace, no privilege).
    #[error("refused: {0}")]
    Refused(String),
    /// Something expected did not happen in time.
    #[error("gave up after {seconds} s: {what}")]
    Timeout {
        /// What was awaited.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// The caller asked for something that does not exist or cannot be.
    #[error("{0}")]
    Invalid(String),
}

/// This crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Wraps a system error with what was tried.
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { what: what.into(), source: source.into() }
    }
}
