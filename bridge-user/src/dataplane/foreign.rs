//! tcx programs of others on an interface. Must not touch them.

use std::collections::{BTreeSet, HashMap};

use aya::programs::{SchedClassifier, TcAttachType};
use bridge_common::abi::PROGRAMS;

use super::tcx::{Place, Tcx};

/// The programs that are not ours, in words; none where the kernel has no tcx, or the interface is gone. `ours` are the numbers of our
/// links.
pub fn tcx_programs(ifindex: u32, interface: &str, ours: &BTreeSet<u32>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, name) in [(Place::Ingress, "ingress"), (Place::Egress, "egress")] {
        let Some(tcx) = Tcx::query(ifindex, place) else { continue };
        let foreign: Vec<_> = tcx.programs().filter(|(_, link)| !ours.contains(link)).collect();
        if foreign.is_empty() {
            continue;
        }
        let names = names(interface, place);
        for (program, _) in foreign {
            match names.get(&program).map(String::as_str).unwrap_or_default() {
                // Of a manager before us, whose link is being taken over.
                ours if PROGRAMS.contains(&ours) => {}
                "" => found.push(format!("a tcx {name} program of somebody else's is there")),
                other => found.push(format!("the tcx {name} program {other} of somebody else's is there")),
            }
        }
    }
    found
}

/// Names by number. Without CAP_SYS_ADMIN the kernel tells none.
fn names(interface: &str, place: Place) -> HashMap<u32, String> {
    let place = if place == Place::Ingress { TcAttachType::Ingress } else { TcAttachType::Egress };
    let Ok((_, programs)) = SchedClassifier::query_tcx(interface, place) else { return HashMap::new() };
    programs.iter().map(|program| (program.id(), program.name_as_str().unwrap_or_default().to_owned())).collect()
}
