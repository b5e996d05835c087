//! Multiple spanning trees of a filtering Linux bridge, spoken in netlink: iproute2 knows them since 6.11 only.

use std::os::fd::AsRawFd as _;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use super::Lab;
use crate::error::{Error, Result};

/// linux/rtnetlink.h, linux/if_link.h, linux/if_bridge.h.
const RTM_NEWLINK: u16 = 16;
const RTM_SETLINK: u16 = 19;
const RTM_NEWVLAN: u16 = 112;
const BRIDGE_VLANDB_GLOBAL_OPTIONS: u16 = 2;
const BRIDGE_VLANDB_GOPTS_ID: u16 = 1;
const BRIDGE_VLANDB_GOPTS_MSTI: u16 = 18;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
const NLMSG_ERROR: u16 = 2;
const AF_UNSPEC: u8 = 0;
const AF_BRIDGE: u8 = 7;
const NESTED: u16 = 0x8000;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_MULTI_BOOLOPT: u16 = 46;
const BR_BOOLOPT_MST_ENABLE: u32 = 1 << 2;
/// Of struct ifinfomsg (family, padding, type, index, flags, change) what stands behind the index.
const IFINFO: usize = 8;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_BRIDGE_MST: u16 = 6;
const IFLA_BRIDGE_MST_ENTRY: u16 = 1;
const IFLA_BRIDGE_MST_ENTRY_MSTI: u16 = 1;
const IFLA_BRIDGE_MST_ENTRY_STATE: u16 = 2;

impl Lab {
    /// Switches it on or off. No port may be in a VLAN meanwhile.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_mst(&self, on: bool) -> Result<()> {
        let value = if on { BR_BOOLOPT_MST_ENABLE } else { 0 };
        let options = [value, BR_BOOLOPT_MST_ENABLE].map(u32::to_ne_bytes).concat();
        let data = attribute(IFLA_INFO_DATA | NESTED, &attribute(IFLA_BR_MULTI_BOOLOPT, &options));
        let info = [attribute(IFLA_INFO_KIND, b"bridge\0"), data].concat();
        self.tell(RTM_NEWLINK, AF_UNSPEC, &self.bridge, &attribute(IFLA_LINKINFO | NESTED, &info), IFINFO)
    }

    /// Gives a VLAN a tree (1 to 4094). Ports have no state there yet, and forward nothing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_mst_tree(&self, vlan: u16, tree: u16) -> Result<()> {
        let vlan = attribute(BRIDGE_VLANDB_GOPTS_ID, &vlan.to_ne_bytes());
        let options = [vlan, attribute(BRIDGE_VLANDB_GOPTS_MSTI, &tree.to_ne_bytes())].concat();
        // struct br_vlan_msg: family, padding, index.
        self.tell(RTM_NEWVLAN, AF_BRIDGE, &self.bridge, &attribute(BRIDGE_VLANDB_GLOBAL_OPTIONS | NESTED, &options), 0)
    }

    /// The state (BR_STATE_*) of a port in a tree.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_mst_state(&self, port: &str, tree: u16, state: u8) -> Result<()> {
        let tree = attribute(IFLA_BRIDGE_MST_ENTRY_MSTI, &tree.to_ne_bytes());
        let entry = [tree, attribute(IFLA_BRIDGE_MST_ENTRY_STATE, &[state])].concat();
        let trees = attribute(IFLA_BRIDGE_MST | NESTED, &attribute(IFLA_BRIDGE_MST_ENTRY | NESTED, &entry));
        self.tell(RTM_SETLINK, AF_BRIDGE, port, &attribute(IFLA_AF_SPEC | NESTED, &trees), IFINFO)
    }

    /// `rest`: bytes between the interface's index and the attributes.
    fn tell(&self, kind: u16, family: u8, interface: &str, attributes: &[u8], rest: usize) -> Result<()> {
        let missing = || Error::Invalid(format!("there is no interface {interface}"));
        let ifindex = self.host.ifindex(interface)?.ok_or_else(missing)?;
        let message = [&[family, 0, 0, 0], &ifindex.to_ne_bytes()[..], &vec![0; rest], attributes].concat();
        let answered = self.host.enter(|| request(kind, &message))?;
        answered.map_err(|e| Error::io(format!("the kernel on MST of {interface}"), e))
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Sends one request in the calling thread's namespace, and takes the kernel's word for it.
fn request(kind: u16, message: &[u8]) -> nix::Result<()> {
    let netlink = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    let length = (16 + message.len()) as u32;
    let words = [kind, NLM_F_REQUEST_ACK].map(u16::to_ne_bytes).concat();
    // Then sequence number and port id.
    let bytes = [&length.to_ne_bytes()[..], &words, &[0; 8], message].concat();
    send(netlink.as_raw_fd(), &bytes, MsgFlags::empty())?;
    let mut answer = [0; 4096];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    match answer[..length] {
        [_, _, _, _, k0, k1, _, _, _, _, _, _, _, _, _, _, e0, e1, e2, e3, ..]
            if u16::from_ne_bytes([k0, k1]) == NLMSG_ERROR =>
        {
            match i32::from_ne_bytes([e0, e1, e2, e3]) {
                0 => Ok(()),
                code => Err(nix::errno::Errno::from_raw(-code)),
            }
        }
        _ => Err(nix::errno::Errno::EBADMSG),
    }
}
