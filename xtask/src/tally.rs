//! Counts tests by what libtest prints. A test that says SKIP (see `bridge_tests::skip`) is no pass, although libtest takes it for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bridge_tests::skip::MARK;

/// Sum of libtest's closing lines, with the skipped ones apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// As libtest says, skipped ones included.
    ok: u64,
    pub(crate) failed: u64,
    ignored: u64,
    /// Test to reason.
    skips: BTreeMap<String, String>,
    passed: BTreeSet<String>,
    /// How many test executables came to their end.
    pub(crate) ended: usize,
}

impl Tally {
    /// Adds a line: `test result: ok. 3 passed; 0 failed; 1 ignored; ...`, `test a ... ok` or `SKIP: a: why`; others are none of ours.
    pub(crate) fn add(&mut self, line: &str) {
        if let Some((test, why)) = line.strip_prefix(MARK).and_then(|rest| rest.split_once(": ")) {
            self.skips.insert(test.into(), why.into());
        } else if let Some(test) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... ok")) {
            self.passed.insert(test.into());
        } else if let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) {
            self.close(counts);
        }
    }

    fn close(&mut self, counts: &str) {
        self.ended += 1;
        for count in counts.split("; ") {
            match count.split_once(' ').map(|(number, what)| (number.parse().unwrap_or(0), what)) {
                Some((number, "passed")) => self.ok += number,
                Some((number, "failed")) => self.failed += number,
                Some((number, "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }

    /// Tests that ran and held.
    pub(crate) fn passed(&self) -> u64 {
        self.ok.saturating_sub(self.skips.len() as u64)
    }

    /// Tests that did not run.
    pub(crate) fn skipped(&self) -> u64 {
        self.ignored + self.skips.len() as u64
    }

    /// Which, and why.
    pub(crate) fn skips(&self) -> impl Iterator<Item = (&str, &str)> {
        self.skips.iter().map(|(test, why)| (test.as_str(), why.as_str()))
    }

    /// Takes the counts of another machine in. What was skipped here and held there is skipped no more.
    pub(crate) fn absorb(&mut self, other: Self) {
        let held = |test: &String| other.passed.contains(test) && !other.skips.contains_key(test);
        let before = self.skips.len();
        self.skips.retain(|test, _| !held(test));
        let (here, there) = ((before - self.skips.len()) as u64, other.passed());
        // libtest called them passed here as well: each counts once.
        self.ok = self.ok - here + there;
        self.failed += other.failed;
        // Those skipped in both are one; what only the other skipped was asked of it, and is one more.
        self.ignored += other.skips.keys().filter(|test| !self.skips.contains_key(*test)).count() as u64;
        self.ended += other.ended;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed(), self.failed, self.skipped())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.add(line));
        tally
    }

    #[test]
    fn closing_lines_are_added_up_and_others_are_not() {
        let tally = tally(&[
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.28s",
            "test result: FAILED. 6 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 86.18s",
        ]);
        assert_eq!((tally.to_string(), tally.ended), ("9 passed, 3 failed, 1 skipped".into(), 2));
    }

    const HERE: [&str; 4] = [
        "test a ... ok",
        "SKIP: b: the kernel has no such thing",
        "test b ... ok",
        "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.28s",
    ];

    #[test]
    fn a_test_that_skips_is_not_passed() {
        let tally = tally(&HERE);
        assert_eq!(tally.to_string(), "1 passed, 0 failed, 1 skipped");
        assert_eq!(tally.skips().collect::<Vec<_>>(), [("b", "the kernel has no such thing")]);
    }

    #[test]
    fn what_held_on_another_machine_was_not_skipped() {
        let mut both = tally(&HERE);
        both.absorb(tally(&[
            "test b ... ok",
            "SKIP: c: nor this",
            "test c ... ok",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.28s",
        ]));
        assert_eq!(both.to_string(), "2 passed, 0 failed, 1 skipped");
        let mut still = tally(&HERE);
        still.absorb(tally(&HERE[1..]));
        assert_eq!(still.to_string(), "2 passed, 0 failed, 1 skipped");
    }
}
