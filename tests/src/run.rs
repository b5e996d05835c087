//! Starts other programs and turns their failures into sentences. Must not know about namespaces or labs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Directories tried after `PATH`, which often lacks sbin for ordinary users and under cron.
const SBIN: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Where `tool` is installed; `Error::MissingTool` names `cargo xtask setup`.
pub fn find_tool(tool: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SBIN.iter().map(PathBuf::from))
        .map(|dir| dir.join(tool))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| Error::MissingTool { tool: tool.into() })
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Runs a command to its end, feeding it `input`; its stdout, or an error with what it said.
pub(crate) fn run(command: &mut Command, input: Option<&str>) -> Result<String> {
    let output = output(command, input)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    Err(Error::Command {
        command: words(command),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(said).trim().to_owned(),
    })
}

/// Runs a command to its end whatever its exit status.
pub(crate) fn output(command: &mut Command, input: Option<&str>) -> Result<Output> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| Error::io(format!("cannot start `{}`", words(command)), e))?;
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        // A child that ends early closes the pipe; its exit status says why.
        let _ = stdin.write_all(text.as_bytes());
    }
    child.wait_with_output().map_err(|e| Error::io(format!("cannot wait for `{}`", words(command)), e))
}

/// Program and arguments on one line, for messages.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut line = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// How many times as long as usual this machine may take: `FASTBRIDGE_PATIENCE`, which an emulated one sets; else 1.
pub(crate) fn patience() -> u32 {
    let told = std::env::var("FASTBRIDGE_PATIENCE").ok().and_then(|times| times.parse().ok());
    told.unwrap_or(1).clamp(1, 100)
}

/// Asks `ready` again and again (every 5 ms) until it says yes; `Error::Timeout` after `limit`, which a slow machine extends.
pub fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
    let limit = limit * patience();
    let end = Instant::now() + limit;
    loop {
        if ready() {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(Error::Timeout { what: what.into(), seconds: limit.as_secs() });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_missing_tool_names_the_setup_verb() {
        let error = find_tool("no-such-tool-anywhere").unwrap_err().to_string();
        assert!(error.contains("no-such-tool-anywhere") && error.contains("cargo xtask setup"), "{error}");
    }

    #[test]
    fn a_failing_command_tells_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo sorry >&2; exit 3"]), None).unwrap_err().to_string();
        assert!(error.contains("sorry") && error.contains('3'), "{error}");
    }
}
