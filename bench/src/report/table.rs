//! A report as one table: for a terminal, and as a Markdown page.

use comfy_table::{Table, presets};

use super::{HEADER, HOW, Report, Row};

impl Report {
    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        self.page(presets::UTF8_HORIZONTAL_ONLY)
    }

    /// As a Markdown page.
    pub(super) fn markdown(&self) -> String {
        let how = format!("# Benchmarks\n\nWritten by `cargo xtask bench --markdown docs/benchmarks.md`. {HOW}\n\n");
        format!("{how}{}", self.page(presets::ASCII_MARKDOWN))
    }

    fn page(&self, style: &str) -> String {
        let mut table = Table::new();
        table.load_preset(style).set_header(HEADER).add_rows(self.rows.iter().map(Row::cells));
        let peers: Vec<_> = self.host.peers.iter().map(|peer| peer.to_string()).collect();
        let failed: String = self.failed.iter().map(|sentence| format!("\nnot finished: {sentence}\n")).collect();
        format!("{}\n\nBeside it: {}.\n\n{table}\n{failed}", self.host, peers.join("; "))
    }
}
