//! What must be true after a lab: nothing of ours is left in the kernel, and the kernel has not complained.
//!
//! BPF objects and the kernel log belong to the whole machine. Objects that a process outside this test's family holds open are left
//! out; what another test has pinned meanwhile cannot be told from a leak, so run leak checks when nothing else loads BPF programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;
use std::time::Duration;

use bridge_common::abi::maps;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::run;
use crate::sweep::remains_of;

/// Programs and maps are freed after an RCU grace period and a work queue.
const FREE_LIMIT: Duration = Duration::from_secs(5);
const COMPLAINTS: [&str; 6] = ["WARNING:", "BUG:", "Oops", "general protection fault", "KASAN:", "bpf: "];

/// The state before a lab; compare with [`LeakCheck::finish`] after it is dropped.
#[derive(Debug)]
pub struct LeakCheck {
    before: Objects,
    log: KernelLog,
    names: BTreeSet<String>,
}

/// BPF object ("prog 17") to its description.
type Objects = BTreeMap<String, String>;

impl LeakCheck {
    /// Remembers what is there.
    pub fn begin() -> Result<Self> {
        Ok(Self { before: bpf_objects()?, log: KernelLog::from_now()?, names: remains() })
    }

    /// What is there now and was not before: namespaces and directories of this process's labs, BPF programs, links and maps, kernel
    /// complaints. Empty when all is well. Labs of this process that still run count as leaks.
    pub fn finish(mut self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let waited = run::wait_until("BPF objects are freed", FREE_LIMIT, || {
            found = self.new_objects().unwrap_or_else(|e| vec![e.to_string()]);
            found.is_empty()
        });
        if waited.is_ok() {
            found.clear();
        }
        found.extend(remains().difference(&self.names).cloned());
        found.extend(self.log.complaints()?);
        Ok(found)
    }

    fn new_objects(&self) -> Result<Vec<String>> {
        let now = bpf_objects()?;
        let new = now.into_iter().filter(|(id, _)| !self.before.contains_key(id));
        Ok(new
            .map(|(id, what)| format!("{id} was not there before (run alone, if others load BPF programs): {what}"))
            .collect())
    }
}

fn remains() -> BTreeSet<String> {
    remains_of(std::process::id()).into_iter().map(|path| path.display().to_string()).collect()
}

fn bpf_objects() -> Result<Objects> {
    let mut objects = Objects::new();
    for kind in ["prog", "link", "map"] {
        let text = run::run(Command::new(run::find_tool("bpftool")?).args(["-j", kind, "show"]), None)?;
        let listed: Value =
            serde_json::from_str(&text).map_err(|e| Error::Invalid(format!("bpftool {kind} show: {e}")))?;
        for object in listed.as_array().into_iter().flatten().filter(|o| is_ours(o) && !held_by_strangers(o)) {
            objects.insert(format!("{kind} {}", object["id"]), object.to_string());
        }
    }
    Ok(objects)
}

/// Whether it may be ours: programs and maps by their names, which the kernel cuts after 15 bytes. What else
/// loads BPF programs on this machine is none of a lab's business.
fn is_ours(object: &Value) -> bool {
    let name = object["name"].as_str().unwrap_or_default();
    let names = maps::ALL.iter().map(|map| maps::in_object(map));
    let map = names.map(|map| &map[..map.len().min(15)]).any(|map| map == name);
    name.starts_with("fastbridge_") || map
}

/// Whether all holders that bpftool knows are processes that are neither we nor our children.
fn held_by_strangers(object: &Value) -> bool {
    let holders: Vec<u32> = object["pids"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|p| u32::try_from(p["pid"].as_u64()?).ok())
        .collect();
    !holders.is_empty() && !holders.into_iter().any(is_family)
}

fn is_family(mut pid: u32) -> bool {
    while pid > 1 {
        if pid == std::process::id() {
            return true;
        }
        let Some(parent) = parent_of(pid) else { return false };
        pid = parent;
    }
    false
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// The kernel's log from a moment on.
#[derive(Debug)]
pub struct KernelLog(File);

impl KernelLog {
    /// From now on.
    pub fn from_now() -> Result<Self> {
        let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
        let mut file = opened.map_err(|e| Error::io("cannot open /dev/kmsg", e))?;
        file.seek(SeekFrom::End(0)).map_err(|e| Error::io("cannot seek /dev/kmsg", e))?;
        Ok(Self(file))
    }

    /// Lines since then that tell of a WARNING, BUG, Oops or a BPF error.
    pub fn complaints(&mut self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut record = [0_u8; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(length) => found.extend(complaint(&String::from_utf8_lossy(&record[..length]))),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(found),
                // EPIPE: records were overwritten before we read them; the next read goes on with the oldest that is left.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
                Err(e) => return Err(Error::io("cannot read /dev/kmsg", e)),
            }
        }
    }
}

fn complaint(record: &str) -> Option<String> {
    let message = record.split_once(';')?.1.lines().next()?;
    COMPLAINTS.iter().any(|word| message.contains(word)).then(|| format!("kernel: {message}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn complaints_are_told_from_chatter() {
        assert!(complaint("4,1,2,-;WARNING: CPU: 0 PID: 1 at net/core/dev.c:1").is_some());
        assert!(complaint("6,1,2,-;br0: port 1(vnet0) entered forwarding state").is_none());
    }

    #[test]
    fn strangers_are_told_from_family() {
        let object = |pid: u32| serde_json::json!({"id": 1, "pids": [{"pid": pid}]});
        assert!(held_by_strangers(&object(1)));
        assert!(!held_by_strangers(&object(std::process::id())));
        assert!(!held_by_strangers(&serde_json::json!({"id": 1})));
    }
}
