//! Which BPF programs sit at the interfaces of one namespace: XDP, tcx, clsact. bpftool of Debian 12 does not know tcx, hence the system
//! call. The only unsafe code of this part.

use std::collections::BTreeMap;
use std::mem::size_of;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::netns::Netns;

/// `BPF_TCX_INGRESS` and `BPF_TCX_EGRESS` of `enum bpf_attach_type` (linux/bpf.h).
const TCX: [(u32, &str); 2] = [(46, "tcx/ingress"), (47, "tcx/egress")];
const MAX: usize = 64;

/// `vnet0 tcx/ingress` to the ids of its programs, in their order; places without a program are left out.
pub fn programs(netns: &Netns) -> Result<BTreeMap<String, Vec<u32>>> {
    let text = netns.run("ip", &["-j", "link", "show"])?;
    let links: Value = serde_json::from_str(&text).map_err(|e| Error::Invalid(format!("ip -j link show: {e}")))?;
    let mut found = BTreeMap::new();
    for link in links.as_array().into_iter().flatten() {
        let (Some(name), Some(index)) = (link["ifname"].as_str(), link["ifindex"].as_u64()) else { continue };
        let index = u32::try_from(index).map_err(|e| Error::Invalid(e.to_string()))?;
        if let Some(id) = link["xdp"]["prog"]["id"].as_u64() {
            found.insert(format!("{name} xdp"), vec![id as u32]);
        }
        for (kind, place) in TCX {
            let ids = netns.enter(|| tcx(index, kind))?.map_err(|e| Error::io(format!("{name} {place}"), e))?;
            if !ids.is_empty() {
                found.insert(format!("{name} {place}"), ids);
            }
        }
        for side in ["ingress", "egress"] {
            let ids = filters(netns, name, side)?;
            if !ids.is_empty() {
                found.insert(format!("{name} clsact/{side}"), ids);
            }
        }
    }
    Ok(found)
}

/// The `id N` of each BPF filter.
fn filters(netns: &Netns, name: &str, side: &str) -> Result<Vec<u32>> {
    let text = netns.run("tc", &["filter", "show", "dev", name, side])?;
    let mut words = text.split_whitespace();
    let mut ids = Vec::new();
    while let Some(word) = words.next() {
        ids.extend((word == "id").then(|| words.next()?.parse::<u32>().ok()).flatten());
    }
    Ok(ids)
}

/// `BPF_PROG_QUERY`; a kernel without tcx has none.
fn tcx(ifindex: u32, kind: u32) -> std::io::Result<Vec<u32>> {
    #[repr(C)]
    struct Query {
        ifindex: u32,
        kind: u32,
        query_flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
        zero: [u32; 9],
    }
    const BPF_PROG_QUERY: libc::c_int = 16;
    let mut ids = [0_u32; MAX];
    let (at, count) = (ids.as_mut_ptr() as u64, MAX as u32);
    let mut query = Query { ifindex, kind, query_flags: 0, attach_flags: 0, ids: at, count, zero: [0; 9] };
    // SAFETY: the attribute and the buffer that it names live through the call; sizes are as stated.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut query, size_of::<Query>()) };
    if result >= 0 {
        return Ok(ids[..(query.count as usize).min(MAX)].to_vec());
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOENT | libc::ENODEV) => Ok(Vec::new()),
        _ => Err(error),
    }
}
