//! Queueing disciplines and tc filters that others have put on interfaces.
//!
//! Layouts: `struct tcmsg` in linux/rtnetlink.h, then attributes; a bpf filter's name lies in its options.

use std::collections::BTreeMap;

use bridge_common::abi::PROGRAMS;

use super::raw::{Raw, attributes, find, text};
use super::{NetlinkError, channel::Channel};

const RTM_GETQDISC: u16 = 38;
const RTM_GETTFILTER: u16 = 46;
const TCMSG_LEN: usize = 20;
const IFINDEX: usize = 4;
const HANDLE: usize = 8;
const PARENT: usize = 12;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;
/// linux/pkt_sched.h: where a root discipline hangs, where `ingress` and `clsact` do, and clsact's two classes.
const ROOT: u32 = 0xffff_ffff;
const INGRESS: u32 = 0xffff_fff1;
const CLSACT_CLASSES: [(u32, &str); 2] = [(0xffff_fff2, "ingress"), (0xffff_fff3, "egress")];
/// The class of an `ingress` discipline's filters: its handle.
const INGRESS_HANDLE: u32 = 0xffff_0000;

/// What the kernel shows, by ifindex.
#[derive(Debug, Default)]
pub(super) struct Disciplines {
    /// Kind of a root discipline that somebody chose: the kernel's own have the handle 0.
    pub(super) chosen: BTreeMap<u32, String>,
    /// Filters that are not ours, in words.
    pub(super) filters: BTreeMap<u32, Vec<String>>,
}

/// Looks at all interfaces of the namespace.
pub(super) async fn look(channel: &Channel<Raw>) -> Result<Disciplines, NetlinkError> {
    let mut found = Disciplines::default();
    for row in channel.dump(request(RTM_GETQDISC, 0, 0)).await? {
        let kind = find(row.attributes(TCMSG_LEN), TCA_KIND).map(text).unwrap_or_default();
        let (ifindex, handle) = (row.word(IFINDEX)?, row.word(HANDLE)?);
        match row.word(PARENT)? {
            ROOT if handle != 0 => _ = found.chosen.insert(ifindex, kind),
            INGRESS => {
                let filters = filters(channel, ifindex, kind == "clsact").await?;
                if !filters.is_empty() {
                    found.filters.insert(ifindex, filters);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

async fn filters(channel: &Channel<Raw>, ifindex: u32, clsact: bool) -> Result<Vec<String>, NetlinkError> {
    let places = if clsact { &CLSACT_CLASSES[..] } else { &[(INGRESS_HANDLE, "ingress")] };
    let mut filters = Vec::new();
    for &(parent, place) in places {
        let rows = match channel.dump(request(RTM_GETTFILTER, ifindex, parent)).await {
            // The discipline, or the interface, has gone meanwhile.
            Err(NetlinkError::Refused(_)) => Vec::new(),
            rows => rows?,
        };
        filters.extend(rows.iter().filter_map(|row| foreign(row, place)));
    }
    filters.dedup();
    Ok(filters)
}

/// A filter in words; `None` if it is ours, or only announces a priority (its handle is 0).
fn foreign(row: &Raw, place: &str) -> Option<String> {
    if row.word(HANDLE).ok()? == 0 {
        return None;
    }
    let kind = find(row.attributes(TCMSG_LEN), TCA_KIND).map(text).unwrap_or_default();
    let options = find(row.attributes(TCMSG_LEN), TCA_OPTIONS).unwrap_or_default();
    match find(attributes(options), TCA_BPF_NAME).map(text) {
        Some(name) if PROGRAMS.contains(&name.as_str()) => None,
        Some(name) => Some(format!("a tc {place} filter runs the program {name}")),
        None => Some(format!("a tc {place} filter of kind {kind} is there")),
    }
}

fn request(kind: u16, ifindex: u32, parent: u32) -> Raw {
    let mut body = vec![0; TCMSG_LEN];
    body[IFINDEX..IFINDEX + 4].copy_from_slice(&ifindex.to_ne_bytes());
    body[PARENT..PARENT + 4].copy_from_slice(&parent.to_ne_bytes());
    Raw { kind, body }
}
