//! Which BPF programs our managers loaded, and which of them outlived the labs. By id, which the kernel does not use again soon: other
//! programs of this machine come and go as they like.

use std::{collections::BTreeSet, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use bridge_tests::{find_tool, wait_until};
use serde_json::Value;

/// Programs are freed after an RCU grace period.
const FREE_LIMIT: Duration = Duration::from_secs(5);

/// The ids of programs that our managers held.
#[derive(Debug, Default)]
pub(super) struct Programs(BTreeSet<u64>);

impl Programs {
    /// Notes what this process holds.
    pub(super) fn note(&mut self, pid: u32) -> Result<()> {
        let holds = |program: &&Value| {
            program["pids"].as_array().into_iter().flatten().any(|holder| holder["pid"] == u64::from(pid))
        };
        let listed = listed()?;
        self.0.extend(listed.iter().filter(holds).filter_map(|program| program["id"].as_u64()));
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

fn described(program: &Value) -> String {
    format!("program {} {}", program["id"], program["name"])
}

fn listed() -> Result<Vec<Value>> {
    let output = Command::new(find_tool("bpftool")?).args(["-j", "prog", "show"]).output().context("bpftool")?;
    ensure!(output.status.success(), "`bpftool prog show` failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("`bpftool -j prog show` printed no JSON")
}
