//! Which BPF programs our managers loaded, and which of them outlived the labs. By id, which the kernel does not use again soon: other
//! programs of this machine come and go as they like.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use bridge_tests::{find_tool, wait_until};
use serde_json::Value;

/// Programs are freed after an RCU grace period.
const FREE_LIMIT: Duration = Duration::from_secs(5);

/// The ids of programs that our managers held.
#[derive(Debug, Default)]
pub(super) struct Programs(BTreeSet<u64>);

impl Programs {
    /// Notes what this process holds, itself or by a link.
    pub(super) fn note(&mut self, pid: u32) -> Result<()> {
        let directory = format!("/proc/{pid}/fdinfo");
        for entry in fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))? {
            // A descriptor that was closed meanwhile holds nothing.
            let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
            self.0.extend(program_of(&text));
        }
        Ok(())
    }

    /// How many were noted.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The noted ones that are still loaded, after waiting for the kernel to free them.
    pub(super) fn left(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        let mut failure = None;
        let waited = wait_until("BPF programs are freed", FREE_LIMIT, || match listed() {
            Ok(programs) => {
                left = programs.iter().filter(|program| self.has(program)).map(described).collect();
                left.is_empty()
            }
            Err(error) => failure.replace(error).is_none(),
        });
        match failure {
            Some(error) => Err(error),
            None if waited.is_ok() => Ok(Vec::new()),
            None => Ok(left),
        }
    }

    fn has(&self, program: &Value) -> bool {
        program["id"].as_u64().is_some_and(|id| self.0.contains(&id))
    }
}

/// The id in the fdinfo of a program or a link.
fn program_of(fdinfo: &str) -> Option<u64> {
    fdinfo.lines().find_map(|line| line.strip_prefix("prog_id:"))?.trim().parse().ok()
}

fn described(program: &Value) -> String {
    format!("program {} {}", program["id"], program["name"])
}

fn listed() -> Result<Vec<Value>> {
    let output = Command::new(find_tool("bpftool")?).args(["-j", "prog", "show"]).output().context("bpftool")?;
    ensure!(output.status.success(), "`bpftool prog show` failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("`bpftool -j prog show` printed no JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_fdinfo() {
        assert_eq!(program_of("pos:\t0\nprog_type:\t6\nprog_id:\t17\n"), Some(17));
        assert_eq!(program_of("pos:\t0\nmap_id:\t17\n"), None);
    }
}
