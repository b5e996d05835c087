//! Whether a device takes frames redirected by XDP: the `netdev` generic netlink family (Documentation/netlink/specs/netdev.yaml, Linux 6.3).
//!
//! genetlink, the resolver crate, is built on another netlink-proto than rtnetlink; netlink-packet-generic is not, so that is what is used here.

use std::collections::HashMap;

use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator,
    ParseableParametrized,
};
use netlink_packet_generic::ctrl::nlas::{GenlCtrlAttrs, McastGrpAttrs};
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};

use super::NetlinkError;
use super::channel::Channel;
use super::events::Events;

const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// `ndo_xdp_xmit` is there and ready: on a veth, its peer runs NAPI (drivers/net/veth.c `veth_set_xdp_features`).
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 4;
/// The group of changes of these features.
const GROUP: &str = "mgmt";

/// Messages of the family.
pub(super) type DeviceMessage = GenlMessage<Device>;

/// One device; empty in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Device {
    ifindex: Option<u32>,
    features: Option<u64>,
}

impl GenlFamily for Device {
    fn family_name() -> &'static str {
        "netdev"
    }

    fn command(&self) -> u8 {
        NETDEV_CMD_DEV_GET
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Device {
    fn buffer_len(&self) -> usize {
        0
    }

    fn emit(&self, _: &mut [u8]) {}
}

impl ParseableParametrized<[u8], GenlHeader> for Device {
    fn parse_with_param(payload: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        let mut device = Self::default();
        for nla in NlasIterator::new(payload) {
            let nla = nla?;
            let wrong = |_| DecodeError::from("a netdev attribute of the wrong size");
            match nla.kind() {
                NETDEV_A_DEV_IFINDEX => {
                    device.ifindex = Some(u32::from_ne_bytes(nla.value().try_into().map_err(wrong)?))
                }
                NETDEV_A_DEV_XDP_FEATURES => {
                    device.features = Some(u64::from_ne_bytes(nla.value().try_into().map_err(wrong)?));
                }
                _ => {}
            }
        }
        Ok(device)
    }
}

/// The family, on a kernel that has it.
pub(super) struct Features {
    channel: Channel<DeviceMessage>,
    family: u16,
}

impl Features {
    /// `None`: this kernel has no such family. Makes `events` listen to its changes. Does not await: all sockets belong to the namespace that the
    /// thread is in now.
    pub(super) fn open(events: &mut Events) -> Result<Option<Self>, NetlinkError> {
        let Some(attributes) = resolve()? else { return Ok(None) };
        let (mut family, mut group) = (None, None);
        for attribute in &attributes {
            match attribute {
                GenlCtrlAttrs::FamilyId(id) => family = Some(*id),
                GenlCtrlAttrs::McastGroups(groups) => group = groups.iter().find_map(|group| group_id(group)),
                _ => {}
            }
        }
        let family = family.ok_or_else(|| NetlinkError::Unreadable("the netdev family has no number".into()))?;
        if let Some(group) = group {
            events.listen_to_features(group)?;
        }
        Ok(Some(Self { channel: Channel::open(NETLINK_GENERIC)?, family }))
    }

    /// ifindex to whether XDP may redirect to it, of every device of the namespace.
    pub(super) async fn xdp_targets(&self) -> Result<HashMap<u32, bool>, NetlinkError> {
        let mut request = GenlMessage::from_payload(Device::default());
        request.set_resolved_family_id(self.family);
        let devices = self.channel.dump(request).await?;
        devices
            .into_iter()
            .map(|message| match message.payload {
                Device { ifindex: Some(ifindex), features: Some(features) } => {
                    Ok((ifindex, features & NETDEV_XDP_ACT_NDO_XMIT != 0))
                }
                _ => Err(NetlinkError::Unreadable("a netdev row without an index or features".into())),
            })
            .collect()
    }
}

/// Attributes of the family; `None`: there is none of its name. The kernel answers within the send (net/netlink/genetlink.c), so that nothing is
/// waited for.
fn resolve() -> Result<Option<Vec<GenlCtrlAttrs>>, NetlinkError> {
    let nlas = vec![GenlCtrlAttrs::FamilyName(Device::family_name().into())];
    let payload = GenlMessage::from_payload(GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas });
    let mut request = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(payload));
    request.header.flags = NLM_F_REQUEST;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_GENERIC)?;
    socket.set_non_blocking(true)?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match NetlinkMessage::<GenlMessage<GenlCtrl>>::deserialize(&answer)?.payload {
        NetlinkPayload::InnerMessage(message) => Ok(Some(message.payload.nlas)),
        NetlinkPayload::Error(e) if e.raw_code() == -libc::ENOENT => Ok(None),
        NetlinkPayload::Error(e) => Err(NetlinkError::Refused(e.to_io())),
        _ => Err(NetlinkError::Unreadable("an answer about the netdev family that is none".into())),
    }
}

fn group_id(attributes: &[McastGrpAttrs]) -> Option<u32> {
    let named = attributes.iter().any(|a| matches!(a, McastGrpAttrs::Name(name) if name == GROUP));
    attributes.iter().find_map(|a| match a {
        McastGrpAttrs::Id(id) if named => Some(*id),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn attributes_of_a_wrong_size_are_an_error() {
        let header = GenlHeader { cmd: 1, version: 1 };
        let mut bytes = vec![8, 0, 1, 0, 5, 0, 0, 0, 12, 0, 3, 0, 0x17, 0, 0, 0, 0, 0, 0, 0];
        let device = Device::parse_with_param(&bytes, header).unwrap();
        assert_eq!(device, Device { ifindex: Some(5), features: Some(0x17) });
        bytes[8] = 8;
        assert!(Device::parse_with_param(&bytes[..16], header).is_err());
        assert!(Device::parse_with_param(&bytes[..18], header).is_err());
    }
}
