//! Test files in a machine, one after the other, and a table of what came of them.

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    process::{ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use comfy_table::{Table, presets};

use super::{guest::Guest, quoted};
use crate::{
    process::{self, cargo, root},
    test::Tally,
};

/// Builds the tests here and runs them there.
///
/// # Errors
/// One does not compile, is not there, or the machine ended. Failed tests are the exit code.
pub(super) fn run(guest: &Guest, tests: &[String]) -> Result<ExitCode> {
    process::run(&mut cargo(&["build", "--quiet", "--package", "bridge-user"]))?;
    let executables = executables(tests)?;
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header([
        &format!("Linux {}", guest.kernel()),
        "passed",
        "failed",
        "skipped",
    ]);
    let mut whole = true;
    for (name, executable) in &executables {
        println!("── {name} on Linux {}", guest.kernel());
        let mut text = Vec::new();
        let line = format!("cd tests && {} RUST_TEST_THREADS=1 '{}'", variables(), executable.display());
        let code = guest.run_telling(&line, |piece| {
            text.extend_from_slice(piece);
            Ok(())
        })?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.add(line));
        whole &= code == 0 && tally.passed > 0;
        table.add_row([name.clone(), tally.passed.to_string(), tally.failed.to_string(), tally.ignored.to_string()]);
    }
    println!("{table}");
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the tests' own variables are here, for a shell there.
fn variables() -> String {
    let ours = env::vars().filter(|(name, _)| name.starts_with("FASTBRIDGE_"));
    ours.map(|(name, value)| format!("{name}={}", quoted(&[value]))).collect::<Vec<_>>().join(" ")
}

/// Name of a test file to its executable, built here.
fn executables(tests: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = cargo(&["test", "--quiet", "--package", "bridge-tests", "--no-run", "--message-format=json"]);
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
    match tests.iter().find(|test| !found.contains_key(*test)) {
        Some(missing) => bail!("cargo built no executable of tests/tests/{missing}.rs"),
        None => Ok(found),
    }
}
