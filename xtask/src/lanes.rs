//! Test executables beside each other: most tests are labs, which mostly wait, and cargo runs one executable after the other.
//!
//! Each runs its own tests one after the other, and what it says is printed when it has ended. Must not: change what cargo would have run.

use std::{
    collections::VecDeque,
    io::{PipeReader, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result, bail};

use crate::{lint::HOST_CRATES, process::cargo, tally::Tally};

/// These look for what anybody has left behind, and take others' labs for that.
const ALONE: [&str; 1] = ["lab_self"];

/// A test executable.
struct Executable {
    name: String,
    path: PathBuf,
    /// Where cargo would run it.
    directory: PathBuf,
}

/// Builds the tests of every crate and runs them, so many executables at a time. What runs alone mostly waits: meanwhile something is done that is
/// no lab.
///
/// # Errors
/// Something does not compile, or does not run, or fails.
pub(crate) fn run(lanes: usize, tally: &mut Tally, meanwhile: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let (alone, beside): (Vec<_>, Vec<_>) =
        executables()?.into_iter().partition(|one| ALONE.contains(&one.name.as_str()));
    let queue = Mutex::new(VecDeque::from(beside));
    let shared = Mutex::new((tally, Vec::new()));
    let lane = |queue: &Mutex<VecDeque<Executable>>| -> Result<()> {
        loop {
            // Not in the loop's head: the lock would be held for its whole body.
            let Some(next) = locked(queue).pop_front() else { return Ok(()) };
            let (held, said) = next.run()?;
            let (tally, failed) = &mut *locked(&shared);
            println!("     Running {} ({})", next.name, next.path.display());
            said.lines().for_each(|line| tally.add(line));
            println!("{said}");
            if !held {
                failed.push(next.name);
            }
        }
    };
    thread::scope(|scope| {
        let meanwhile = scope.spawn(meanwhile);
        lane(&Mutex::new(VecDeque::from(alone)))?;
        meanwhile.join().unwrap_or_else(|_| bail!("what went on meanwhile was lost"))?;
        let all: Vec<_> = (0..lanes).map(|_| scope.spawn(|| lane(&queue))).collect();
        all.into_iter().try_for_each(|lane| lane.join().unwrap_or_else(|_| bail!("a lane of tests was lost")))
    })?;
    let (_, failed) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        bail!("some tests failed: {}", failed.join(", "));
    }
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executable {
    /// Whether its tests held, and what it said.
    fn run(&self) -> Result<(bool, String)> {
        let (mut said, end) = std::io::pipe()?;
        let mut command = Command::new(&self.path);
        command.current_dir(&self.directory).env("RUST_TEST_THREADS", "1").stdin(Stdio::null());
        command.stdout(end.try_clone()?).stderr(end);
        let mut child = command.spawn().with_context(|| format!("{} could not be started", self.path.display()))?;
        // Else the pipe would have a writing end here for ever.
        drop(command);
        let said = whole(&mut said)?;
        Ok((child.wait()?.success(), said))
    }
}

fn whole(pipe: &mut PipeReader) -> Result<String> {
    let mut said = Vec::new();
    pipe.read_to_end(&mut said).context("what a test says cannot be read")?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn executables() -> Result<Vec<Executable>> {
    let mut command = cargo(&["test", "--no-run", "--message-format=json-render-diagnostics"]);
    let output = command.args(HOST_CRATES).stderr(Stdio::inherit()).output();
    let output = output.context("`cargo test --no-run` could not be started")?;
    if !output.status.success() {
        bail!("the tests do not compile");
    }
    let mut found: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(executable).collect();
    // Cargo tells them as they are built.
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// An executable with tests, if this line of cargo's announces one.
fn executable(line: &str) -> Option<Executable> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    if message["profile"]["test"] != true {
        return None;
    }
    let name = message["target"]["name"].as_str()?.to_owned();
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    Some(Executable { name, path: message["executable"].as_str()?.into(), directory })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_executables_with_tests_are_taken() {
        let line = |test: bool, executable: &str| {
            format!(
                r#"{{"manifest_path":"/w/tests/Cargo.toml","target":{{"name":"lab_x"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let found = executable(&line(true, "\"/w/target/lab_x-1\"")).unwrap();
        assert_eq!(
            (found.name.as_str(), found.path, found.directory),
            ("lab_x", "/w/target/lab_x-1".into(), "/w/tests".into())
        );
        assert!(
            executable(&line(false, "\"/w/target/fastbridge\"")).is_none() && executable(&line(true, "null")).is_none()
        );
        assert!(executable("Compiling").is_none());
    }

    #[test]
    fn what_an_executable_says_and_whether_it_held() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tests");
        std::fs::write(&path, "#!/bin/sh\necho here $RUST_TEST_THREADS; echo there >&2; exit 1\n").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let one = Executable { name: "x".into(), path, directory: directory.path().into() };
        assert_eq!(one.run().unwrap(), (false, "here 1\nthere\n".into()));
    }
}
