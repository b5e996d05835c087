//! The topology file: parsed with positions, checked, and turned into [`model::Topology`].
//!
//! [`load`] reads a file, [`parse`] judges its text; the steps are `raw` (TOML to spanned values), `check` (spanned
//! values to the model, every mistake reported) and `diagnostic` (byte offsets to lines and columns).
//! Must not look at the host, the clock or the environment.

mod check;
mod diagnostic;
pub mod model;
mod raw;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

pub use diagnostic::{Diagnostic, Diagnostics};
use diagnostic::{Report, located};
use model::Topology;

/// Largest topology file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// A valid file, and what an operator should still look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What the file says.
    pub topology: Topology,
    /// Suspicious, but no reason to refuse the file. In the file's order.
    pub warnings: Vec<Diagnostic>,
}

/// Reads and parses the topology file at `path`.
///
/// # Errors
/// As [`parse`]; a file that cannot be read, is larger than [`MAX_FILE_BYTES`] or is not UTF-8 is one diagnostic.
pub fn load(path: &Path) -> Result<Parsed, Diagnostics> {
    let name = path.display().to_string();
    let whole_file =
        |message: String| Diagnostics(vec![Diagnostic { file: name.clone(), line: 1, column: 1, message }]);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| whole_file(format!("the topology file cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(whole_file(format!("the topology file is larger than {MAX_FILE_BYTES} bytes; give a shorter one")));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text, &name),
        Err(error) => {
            let readable = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let message = "the file is not UTF-8 from here on; save it as UTF-8 text".to_owned();
            Err(Diagnostics(located(&readable, &name, vec![(error.valid_up_to(), message)])))
        }
    }
}

/// Parses the text of a topology file. `path` only names it in diagnostics.
///
/// # Errors
/// Every mistake found, in the file's order; a file that is not TOML, has an unknown key or a value of the wrong
/// type gives that one mistake only, for what follows it cannot be trusted.
pub fn parse(text: &str, path: &str) -> Result<Parsed, Diagnostics> {
    let file = toml::from_str::<raw::File>(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        Diagnostics(located(text, path, vec![(offset, raw::sentence(error.message()))]))
    })?;
    let mut report = Report::default();
    let topology = check::check(file, &mut report);
    match topology {
        Some(topology) if report.errors.is_empty() => {
            Ok(Parsed { topology, warnings: located(text, path, report.warnings) })
        }
        _ => Err(Diagnostics(located(text, path, report.errors))),
    }
}
