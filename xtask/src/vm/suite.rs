//! Test files on one kernel, one after the other, and what came of each.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{guest::Guest, quoted};
use crate::{
    lint::HOST_CRATES,
    process::{cargo, root},
    tally::Tally,
};

/// A file that takes longer hangs, in seconds; emulation is slow.
const LIMIT: u32 = 3600;
/// Announces a file in the output.
const FILE: &str = "── ";

/// Where tests run.
pub(super) enum Place {
    Guest(Guest),
    /// On this machine.
    Here,
}

impl Place {
    fn run_telling(&self, line: &str, mut tell: impl FnMut(&[u8]) -> Result<()>) -> Result<u8> {
        if let Self::Guest(guest) = self {
            return guest.run_telling(line, tell);
        }
        let mut command = Command::new("bash");
        command.args(["-c", line]).current_dir(root()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("bash could not be started")?;
        let mut out = child.stdout.take().context("bash has no stdout")?;
        let mut piece = vec![0; 1 << 16];
        loop {
            match out.read(&mut piece)? {
                0 => break,
                length => tell(&piece[..length])?,
            }
        }
        Ok(child.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
    }
}

/// Test files, built.
pub(super) struct Suite {
    executables: BTreeMap<String, PathBuf>,
    /// Arguments of each.
    arguments: Vec<String>,
    /// Set for them.
    variables: Vec<(String, String)>,
}

impl Suite {
    /// Builds these files of tests/tests, and the manager.
    ///
    /// # Errors
    /// One does not compile, or is not there.
    pub(super) fn build(tests: &[String], arguments: &[&str]) -> Result<Self> {
        let arguments = arguments.iter().map(|&word| word.into()).collect();
        // What the tests' own variables are here, they are there.
        let variables = env::vars().filter(|(name, _)| name.starts_with("FASTBRIDGE_")).collect();
        Ok(Self { executables: executables(tests)?, arguments, variables })
    }

    /// With a variable, unless it is set already.
    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        if !self.variables.iter().any(|(known, _)| known == name) {
            self.variables.push((name.into(), value.into()));
        }
        self
    }

    /// Runs them there; what they say goes to stdout meanwhile. File to what came of it.
    ///
    /// # Errors
    /// The machine did not start, or ended before its tests did.
    pub(super) fn run(&self, place: &Place) -> Result<BTreeMap<String, Tally>> {
        let mut tallies: BTreeMap<String, Tally> = self.names().map(|name| (name.into(), Tally::default())).collect();
        let (mut rest, mut file) = (Vec::new(), String::new());
        place.run_telling(&self.line(), |piece| {
            let mut out = std::io::stdout();
            out.write_all(piece).and_then(|()| out.flush()).context("cannot print")?;
            rest.extend_from_slice(piece);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                match line.trim_end().strip_prefix(FILE) {
                    Some(name) => file = name.into(),
                    None => _ = tallies.get_mut(&file).map(|tally| tally.add(line.trim_end())),
                }
            }
            Ok(())
        })?;
        Ok(tallies)
    }

    /// The files' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.executables.keys().map(String::as_str)
    }

    /// All of them in one line of shell: a machine takes long to boot.
    fn line(&self) -> String {
        let variable = |(name, value): &(String, String)| format!("{name}={}", quoted(std::slice::from_ref(value)));
        let variables = self.variables.iter().map(variable).collect::<Vec<_>>().join(" ");
        let one = |(name, path): (&String, &PathBuf)| {
            let words: Vec<_> =
                [path.display().to_string()].into_iter().chain(self.arguments.iter().cloned()).collect();
            format!(
                "echo '{FILE}{name}'; {variables} RUST_TEST_THREADS=1 timeout --kill-after=10 {LIMIT} {} 2>&1",
                quoted(&words)
            )
        };
        let lines: Vec<_> = self.executables.iter().map(one).collect();
        format!("cd tests; {}; true", lines.join("; "))
    }
}

/// Files of tests/tests whose names begin so.
pub(super) fn files(prefixes: &[&str]) -> Result<Vec<String>> {
    let directory = root().join("tests/tests");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let names =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned));
    let mut names: Vec<_> = names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).collect();
    names.sort();
    Ok(names)
}

/// A test of the manager's own package: for such tests cargo builds the manager too.
const OF_THE_MANAGER: &str = "netlink_stations";

/// Name of a test file to its executable, built here, and the manager.
fn executables(tests: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = cargo(&["test", "--quiet", "--no-run", "--message-format=json"]);
    // With all crates named, so that dependencies have the features that they have for the tests here, and as tests: `cargo build` of the manager would
    // compile some anew.
    command.args(HOST_CRATES).args(["--test", OF_THE_MANAGER]);
    tests.iter().for_each(|test| _ = command.args(["--test", test]));
    let output = command.stderr(Stdio::inherit()).output().context("`cargo test --no-run` could not be started")?;
    if !output.status.success() {
        bail!("the tests do not compile");
    }
    let mut found = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        if let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str()) {
            found.insert(name.to_owned(), root().join(path));
        }
    }
    found.retain(|name, _| tests.contains(name));
    match tests.iter().find(|test| !found.contains_key(*test)) {
        Some(missing) => bail!("cargo built no executable of tests/tests/{missing}.rs"),
        None => Ok(found),
    }
}
