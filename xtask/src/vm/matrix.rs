//! A suite on several kernels, as a table: passed, failed and skipped of each file on each.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};

use crate::tally::Tally;

/// Each file's counts, or why there are none.
type Ran = Result<BTreeMap<String, Tally>, String>;

/// Kernel by kernel: its name, and each file's counts or why there are none.
#[derive(Default)]
pub(super) struct Matrix {
    columns: Vec<(String, Ran)>,
}

impl Matrix {
    pub(super) fn add(&mut self, kernel: &str, ran: Ran) {
        self.columns.push((kernel.into(), ran));
    }

    /// Whether every file came to its end on every kernel that could be had, and nothing failed.
    pub(super) fn is_whole(&self) -> bool {
        let tallies = self.columns.iter().filter_map(|(_, ran)| ran.as_ref().ok()).flat_map(BTreeMap::values);
        tallies.into_iter().all(|tally| tally.ended == 1 && tally.failed == 0)
    }

    /// Whether no kernel could be had.
    pub(super) fn is_empty(&self) -> bool {
        self.columns.iter().all(|(_, ran)| ran.is_err())
    }

    /// Prints the table, and below it every skipped test with its reason.
    pub(super) fn show<'a>(&self, files: impl Iterator<Item = &'a str>) {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header([""].into_iter().chain(self.columns.iter().map(|(kernel, _)| kernel.as_str())));
        for file in files {
            let cells = self.columns.iter().map(|(_, ran)| match ran {
                Ok(tallies) => tallies.get(file).map_or_else(String::new, cell),
                Err(_) => "SKIP".into(),
            });
            table.add_row([file.to_owned()].into_iter().chain(cells));
        }
        println!("{table}");
        for (kernel, ran) in &self.columns {
            match ran {
                Err(why) => println!("SKIP: {kernel}: {why}"),
                Ok(tallies) => tallies.values().flat_map(Tally::skips).for_each(|(test, why)| {
                    println!("skipped on {kernel}: {test}: {why}");
                }),
            }
        }
    }
}

fn cell(tally: &Tally) -> String {
    if tally.ended == 0 { "did not end".into() } else { tally.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(lines: &[&str]) -> Ran {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.add(line));
        Ok(BTreeMap::from([("a".to_owned(), tally)]))
    }

    #[test]
    fn a_file_that_did_not_end_is_no_success_and_a_missing_kernel_no_failure() {
        let mut matrix = Matrix::default();
        matrix.add("6.1", Err("no apt-get".into()));
        assert!(matrix.is_whole() && matrix.is_empty());
        matrix.add("6.12", column(&["test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured"]));
        assert!(matrix.is_whole() && !matrix.is_empty());
        matrix.add("here", column(&["test x ... ok"]));
        assert!(!matrix.is_whole());
    }
}
