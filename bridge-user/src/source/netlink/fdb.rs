//! What Linux bridges know of stations: whole, or as it changes. `net/core/rtnetlink.c` `rtnl_fdb_dump`, `net/bridge/br_fdb.c` `fdb_notify`.

use bridge_common::abi::StationKey;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::NetlinkError;
use super::channel::Channel;
use crate::source::SlowFdb;

/// News that are kept until somebody asks; more, and they ask for everything instead.
const MAX_NEWS: usize = 65_536;

/// What became of a station's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StationNews {
    /// The station; VLAN 0 where the bridge does not filter VLANs.
    pub station: StationKey,
    /// The bridge's port.
    pub ifindex: u32,
    /// The bridge.
    pub bridge: u32,
    /// The entry went (aged, was flushed, or its port went); else it came, or came here from another port.
    pub gone: bool,
}

/// News that nobody has asked for yet.
pub(super) struct News {
    news: Vec<StationNews>,
    lost: bool,
}

impl Default for News {
    /// What was before is not known either.
    fn default() -> Self {
        Self { news: Vec::new(), lost: true }
    }
}

impl News {
    pub(super) fn hear(&mut self, message: &NetlinkMessage<RouteNetlinkMessage>) {
        let news = match &message.payload {
            NetlinkPayload::Overrun(_) => return self.lose(),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry)) => read(entry, false),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(entry)) => read(entry, true),
            _ => None,
        };
        match news {
            Some(_) if self.news.len() == MAX_NEWS => self.lose(),
            Some(news) => self.news.push(news),
            None => {}
        }
    }

    pub(super) fn lose(&mut self) {
        self.news.clear();
        self.lost = true;
    }

    /// All since the last call, in order; `None`: some were lost.
    pub(super) fn take(&mut self) -> Option<Vec<StationNews>> {
        let news = std::mem::take(&mut self.news);
        (!std::mem::take(&mut self.lost)).then_some(news)
    }
}

/// Every entry of this bridge.
pub(super) async fn whole(route: &Channel<RouteNetlinkMessage>, bridge: u32) -> Result<SlowFdb, NetlinkError> {
    let mut request = NeighbourMessage::default();
    request.header.family = AddressFamily::Bridge;
    let rows = route.dump(RouteNetlinkMessage::GetNeighbour(request)).await?;
    let entries = rows.iter().filter_map(|row| match row {
        RouteNetlinkMessage::NewNeighbour(entry) => read(entry, false),
        _ => None,
    });
    Ok(entries.filter(|entry| entry.bridge == bridge).map(|entry| (entry.station, entry.ifindex)).collect())
}

/// `None`: not of a bridge's FDB, but a neighbour, or an address that a device filters for itself.
fn read(entry: &NeighbourMessage, gone: bool) -> Option<StationNews> {
    let (mut station, mut mac, mut bridge) = (StationKey::default(), None, None);
    for attribute in &entry.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            NeighbourAttribute::Vlan(vlan) => station.vlan = *vlan,
            // NDA_MASTER.
            NeighbourAttribute::Controller(ifindex) => bridge = Some(*ifindex),
            _ => {}
        }
    }
    station.mac = mac.filter(|_| entry.header.family == AddressFamily::Bridge)?;
    Some(StationNews { station, ifindex: entry.header.ifindex, bridge: bridge?, gone })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use netlink_packet_core::NetlinkHeader;

    use super::*;

    fn entry(family: AddressFamily, attributes: Vec<NeighbourAttribute>) -> NeighbourMessage {
        let mut entry = NeighbourMessage::default();
        entry.header.family = family;
        entry.header.ifindex = 7;
        entry.attributes = attributes;
        entry
    }

    fn message(inner: RouteNetlinkMessage) -> NetlinkMessage<RouteNetlinkMessage> {
        NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(inner))
    }

    #[test]
    fn only_a_bridges_own_entries_are_news() {
        let mac = NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 1]);
        let master = NeighbourAttribute::Controller(3);
        let whole = vec![mac.clone(), NeighbourAttribute::Vlan(10), master.clone()];
        let station = StationKey { mac: [2, 0, 0, 0, 0, 1], vlan: 10 };
        let news = StationNews { station, ifindex: 7, bridge: 3, gone: true };
        assert_eq!(read(&entry(AddressFamily::Bridge, whole.clone()), true), Some(news));
        assert_eq!(read(&entry(AddressFamily::Inet, whole), true), None);
        assert_eq!(read(&entry(AddressFamily::Bridge, vec![mac]), true), None, "a device's own filter");
        let short = NeighbourAttribute::LinkLayerAddress(vec![2, 0]);
        assert_eq!(read(&entry(AddressFamily::Bridge, vec![short, master]), true), None);
    }

    #[test]
    fn news_are_bounded_and_a_loss_is_told_once() {
        let mut news = News::default();
        assert_eq!((news.take(), news.take()), (None, Some(vec![])));
        let attributes = vec![NeighbourAttribute::LinkLayerAddress(vec![2; 6]), NeighbourAttribute::Controller(3)];
        let gone = message(RouteNetlinkMessage::DelNeighbour(entry(AddressFamily::Bridge, attributes)));
        (0..MAX_NEWS).for_each(|_| news.hear(&gone));
        assert_eq!(news.take().unwrap().len(), MAX_NEWS);
        (0..MAX_NEWS + 1).for_each(|_| news.hear(&gone));
        assert!(news.news.is_empty() && news.take().is_none());
        news.hear(&gone);
        news.hear(&NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::Overrun(Vec::new())));
        assert_eq!((news.take(), news.take()), (None, Some(vec![])));
    }
}
