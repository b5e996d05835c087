//! tcx programs of others on an interface. Must not touch them.

use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use bridge_common::abi::PROGRAMS;

use super::links::errno;

/// The programs that are not ours, in words; none where the kernel has no tcx, or the interface is gone.
///
/// # Errors
/// The kernel would not tell.
pub fn tcx_programs(interface: &str) -> Result<Vec<String>, ProgramError> {
    let mut found = Vec::new();
    for (place, name) in [(TcAttachType::Ingress, "ingress"), (TcAttachType::Egress, "egress")] {
        let programs = match SchedClassifier::query_tcx(interface, place) {
            Ok((_, programs)) => programs,
            Err(error) => match errno(&error) {
                // No tcx; no such interface; a program that went between its number and its name.
                Some(libc::EINVAL | libc::ENODEV | libc::ENOENT | libc::ENXIO) => continue,
                _ => return Err(error),
            },
        };
        for program in programs {
            match program.name_as_str().unwrap_or_default() {
                ours if PROGRAMS.contains(&ours) => {}
                "" => found.push(format!("a tcx {name} program of somebody else's is there")),
                other => found.push(format!("the tcx {name} program {other} of somebody else's is there")),
            }
        }
    }
    Ok(found)
}
