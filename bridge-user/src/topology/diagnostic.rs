//! What is wrong with a file, and where: collected by byte offset, told by line and column.
//!
//! Must not know what is being checked.

use std::fmt;
use std::ops::Range;

/// One mistake, or one thing worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to do, one sentence on one line.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Every mistake found in a file, in the file's order; never empty. Displays as one line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A message and the byte offset that it is about.
pub(super) type Found = (usize, String);

/// Collects mistakes while a file is checked.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Reasons to refuse the file.
    pub(super) errors: Vec<Found>,
    /// Worth a look.
    pub(super) warnings: Vec<Found>,
}

impl Report {
    /// Refuses the file because of what stands at `span`.
    pub(super) fn error(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.errors.push((span.start, message.into()));
    }

    /// Notes something about what stands at `span`.
    pub(super) fn warning(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.warnings.push((span.start, message.into()));
    }
}

/// Offsets in `text` to lines and columns, in the file's order. One pass, whatever the number of messages.
pub(super) fn located(text: &str, file: &str, mut found: Vec<Found>) -> Vec<Diagnostic> {
    found.sort_by_key(|(offset, _)| *offset);
    let mut characters = text.char_indices().peekable();
    let (mut line, mut column) = (1, 1);
    found
        .into_iter()
        .map(|(offset, message)| {
            while let Some((_, character)) = characters.next_if(|(at, _)| *at < offset) {
                (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            Diagnostic { file: file.to_owned(), line, column, message }
        })
        .collect()
}
