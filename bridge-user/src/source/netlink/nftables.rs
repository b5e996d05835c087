//! Chains of nftables that see a bridge's frames: the bridge family's, and those at a device's ingress or egress.
//!
//! Layouts: `struct nfgenmsg` in linux/netfilter/nfnetlink.h, then the `NFTA_CHAIN_*` attributes of linux/netfilter/nf_tables.h.

use std::collections::BTreeMap;

use super::raw::{Raw, attributes, find, text};
use super::{NetlinkError, channel::Channel};

/// Subsystem 10, message 4.
const NFT_MSG_GETCHAIN: u16 = 10 << 8 | 4;
const NFT_MSG_GETGEN: u16 = 10 << 8 | 16;
const NFTA_GEN_ID: u16 = 1;
const NFGENMSG_LEN: usize = 4;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_HOOK_DEV: u16 = 3;
const NFTA_HOOK_DEVS: u16 = 4;
const NFTA_DEVICE_NAME: u16 = 1;
const NFPROTO_BRIDGE: u8 = 7;
/// Set in the kind of an attribute that holds others.
const NLA_F_NESTED: u16 = 1 << 15;

/// What the kernel shows, in words.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Chains {
    pub(super) bridge: Vec<String>,
    /// By name of the device.
    pub(super) devices: BTreeMap<String, Vec<String>>,
}

/// Looks at every family's chains. A kernel without nftables has none.
pub(super) async fn look(channel: &Channel<Raw>) -> Result<Chains, NetlinkError> {
    let request = Raw { kind: NFT_MSG_GETCHAIN, body: vec![0; NFGENMSG_LEN] };
    Ok(chains(&unless_missing(channel.dump(request).await)?))
}

/// A number that every change of this namespace's nftables raises; `None`: no nftables.
pub(super) async fn generation(channel: &Channel<Raw>) -> Result<Option<u32>, NetlinkError> {
    let request = Raw { kind: NFT_MSG_GETGEN, body: vec![0; NFGENMSG_LEN] };
    let rows = unless_missing(channel.ask(request).await)?;
    Ok(rows.first().and_then(|row| number(find(row.attributes(NFGENMSG_LEN), NFTA_GEN_ID)?)))
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// The answer; none from a kernel without nftables.
fn unless_missing(answer: Result<Vec<Raw>, NetlinkError>) -> Result<Vec<Raw>, NetlinkError> {
    match answer {
        Err(NetlinkError::Refused(error))
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOENT)) =>
        {
            Ok(Vec::new())
        }
        Err(NetlinkError::Refused(error)) if error.raw_os_error() == Some(libc::EPERM) => {
            Err(NetlinkError::NotPermitted("the chains of nftables"))
        }
        rows => rows,
    }
}

fn chains(rows: &[Raw]) -> Chains {
    let mut chains = Chains::default();
    for row in rows {
        let of = |kind| find(row.attributes(NFGENMSG_LEN), kind);
        // Without a hook it is only called by others.
        let Some(hook) = of(NFTA_CHAIN_HOOK).or_else(|| of(NFTA_CHAIN_HOOK | NLA_F_NESTED)) else { continue };
        let name = |kind| of(kind).map(text).unwrap_or_default();
        let words = format!("nftables chain {} of table {}", name(NFTA_CHAIN_NAME), name(NFTA_CHAIN_TABLE));
        if row.body.first() == Some(&NFPROTO_BRIDGE) {
            chains.bridge.push(words.clone());
        }
        for device in devices(hook) {
            chains.devices.entry(device).or_default().push(words.clone());
        }
    }
    chains
}

/// The kernel names one device twice: alone, and in the list.
fn devices(hook: &[u8]) -> Vec<String> {
    let mut devices = Vec::new();
    for (kind, value) in attributes(hook) {
        match kind & !NLA_F_NESTED {
            NFTA_HOOK_DEV => devices.push(text(value)),
            NFTA_HOOK_DEVS => {
                let listed = attributes(value).filter(|(kind, _)| kind & !NLA_F_NESTED == NFTA_DEVICE_NAME);
                devices.extend(listed.map(|(_, name)| text(name)));
            }
            _ => {}
        }
    }
    devices.sort();
    devices.dedup();
    devices
}
