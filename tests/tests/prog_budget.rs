//! How much the verifier has to look at: a program that grows past its budget fails here before it fails on a machine.
//! Needs root.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bridge_common::abi::maps::DEFAULT_LIMITS;
use bridge_user::dataplane::object::{LoadOptions, TC_IN, TC_OUT, XDP, load};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/verifier_budget.toml");

/// Kernel release to program to verified instructions.
type Budgets = BTreeMap<String, BTreeMap<String, u32>>;

/// `6.18` of `6.18.0-1-amd64`: verifiers differ between releases.
fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    release.trim().splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

#[test]
fn no_program_exceeds_its_verifier_budget() {
    let budgets: Budgets = toml::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    let ebpf = load(LoadOptions { limits: DEFAULT_LIMITS, pins: None, record_verdict: false }).unwrap();
    let found: BTreeMap<String, u32> = [XDP, TC_IN, TC_OUT]
        .iter()
        .map(|&name| {
            let info = ebpf.program(name).unwrap().info().unwrap();
            (name.to_owned(), info.verified_instruction_count().unwrap())
        })
        .collect();
    let release = release();
    let lines: String = found.iter().map(|(name, count)| format!("{name} = {count}\n")).collect();
    println!("kernel {release} verified:\n{lines}");
    let Some(budget) = budgets.get(&release) else {
        println!("SKIPPED: no budget for kernel {release}; add to {FILE}:\n[\"{release}\"]\n{lines}");
        return;
    };
    for (name, count) in &found {
        let allowed = budget[name] + budget[name] / 10;
        assert!(
            *count <= allowed,
            "{name} needs {count} verified instructions, its budget is {} (and 10 %). If the growth is worth it, write this \
             into {FILE} and say why in the commit:\n[\"{release}\"]\n{lines}",
            budget[name]
        );
    }
}
