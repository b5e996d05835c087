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
    // iproute2 writes names as they are, control characters included, which are no JSON.
    let text = netns.run("ip", &["-j", "link", "show"])?.replace(|c: char| c.is_control(), " ");
    let names = names(netns)?;
    let links: Value = serde_json::from_str(&text).map_err(|e| Error::Invalid(format!("ip -j link show: {e}")))?;
    let mut found = BTreeMap::new();
    for link in links.as_array().into_iter().flatten() {
        let index = link["ifindex"].as_u64().and_then(|index| u32::try_from(index).ok());
        let Some((index, name)) = index.and_then(|index| Some((index, names.get(&index)?))) else { continue };
        if let Some(id) = link["xdp"]["prog"]["id"].as_u64() {
            found.insert(format!("{name} xdp"), vec![id as u32]);
        }
        for (kind, place) in TCX {
            let ids = netns.enter(|| tcx(index, kind))?.map_err(|e| Error::io(format!("{name} {place}"), e))?;
            if !ids.is_empty() {
                found.insert(format!("{name} {place}"), ids);
            }
        }
        // A name that is no text cannot be asked for.
        let sides = if name.contains(char::REPLACEMENT_CHARACTER) { &[][..] } else { &["ingress", "egress"] };
        for side in sides {
            let ids = filters(netns, name, side)?;
            if !ids.is_empty() {
                found.insert(format!("{name} clsact/{side}"), ids);
            }
        }
    }
    Ok(found)
}

/// By index.
fn names(netns: &Netns) -> Result<BTreeMap<u32, String>> {
    let listed = netns.enter(|| {
        let all = nix::net::if_::if_nameindex()?;
        Ok(all.iter().map(|link| (link.index(), link.name().to_string_lossy().into_owned())).collect())
    })?;
    listed.map_err(|e: nix::Error| Error::io("if_nameindex", e))
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
