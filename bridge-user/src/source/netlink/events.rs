//! When to look again. An event carries no state, apart from the removal of a link, whose entries must go with it.

use std::collections::VecDeque;

use futures::{FutureExt as _, StreamExt as _};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::MulticastGroup;

use super::NetlinkError;
use super::channel::{Pump, Unsolicited, listen};
use super::fdb::{News, StationNews};
use super::features::DeviceMessage;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Links, bridge ports, addresses or XDP features changed: take a snapshot.
    LookAgain,
    /// The link with this ifindex left the namespace (deleted or moved): its entries must go now, then take a snapshot.
    LinkRemoved(u32),
    /// Events were lost, removals possibly too: take a snapshot and believe only that.
    Overrun,
}

/// Multicast groups. Changes of bridge ports come in `Link` as RTM_NEWLINK of family AF_BRIDGE.
const GROUPS: [u32; 3] =
    [MulticastGroup::Link as u32, MulticastGroup::Ipv4Ifaddr as u32, MulticastGroup::Ipv6Ifaddr as u32];

/// Open sockets and what was read from them but not yet told.
pub(super) struct Events {
    route: Unsolicited<RouteNetlinkMessage>,
    /// On a socket of their own: thousands at once must not push out the others. None of them is a change to look at.
    stations: Unsolicited<RouteNetlinkMessage>,
    features: Option<Unsolicited<DeviceMessage>>,
    pumps: Vec<Pump>,
    waiting: Waiting,
    news: News,
}

impl Events {
    /// Listens to links, addresses and stations of bridges.
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let (pump, route) = listen(netlink_sys::protocols::NETLINK_ROUTE, &GROUPS)?;
        let (of_stations, stations) = listen(netlink_sys::protocols::NETLINK_ROUTE, &[MulticastGroup::Neigh as u32])?;
        let pumps = vec![pump, of_stations];
        Ok(Self { route, stations, features: None, pumps, waiting: Waiting::default(), news: News::default() })
    }

    /// Listens to the netdev family's group of this number too.
    pub(super) fn listen_to_features(&mut self, group: u32) -> Result<(), NetlinkError> {
        let (pump, features) = listen(netlink_sys::protocols::NETLINK_GENERIC, &[group])?;
        self.features = Some(features);
        self.pumps.push(pump);
        Ok(())
    }

    /// What became of stations since the last call; `None`: some of it was lost.
    pub(super) fn stations(&mut self) -> Option<Vec<StationNews>> {
        self.drain();
        self.news.take()
    }

    /// Waits for the next change. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Change, NetlinkError> {
        loop {
            self.drain();
            if let Some(change) = self.waiting.take() {
                return Ok(change);
            }
            let change = tokio::select! {
                message = self.route.next() => of_route(&message.ok_or(NetlinkError::Closed)?.0),
                message = next_feature(&mut self.features) => of_feature(&message.ok_or(NetlinkError::Closed)?),
                message = self.stations.next() => {
                    self.news.hear(&message.ok_or(NetlinkError::Closed)?.0);
                    continue;
                }
            };
            self.waiting.add(change);
        }
    }

    /// Takes in what is there already, so that a burst is told once and a removal does not stand behind it. A closed stream is left to `next`.
    fn drain(&mut self) {
        while let Some(Some((message, _))) = self.stations.next().now_or_never() {
            self.news.hear(&message);
        }
        while let Some(Some((message, _))) = self.route.next().now_or_never() {
            self.waiting.add(of_route(&message));
        }
        while let Some(Some(message)) = next_feature(&mut self.features).now_or_never() {
            self.waiting.add(of_feature(&message));
        }
    }
}

async fn next_feature(features: &mut Option<Unsolicited<DeviceMessage>>) -> Option<NetlinkMessage<DeviceMessage>> {
    match features {
        Some(features) => features.next().await.map(|(message, _)| message),
        None => std::future::pending().await,
    }
}

fn of_route(message: &NetlinkMessage<RouteNetlinkMessage>) -> Change {
    match &message.payload {
        NetlinkPayload::Overrun(_) => Change::Overrun,
        // Of family AF_BRIDGE it means that the port left its bridge; the link is still there.
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link))
            if link.header.interface_family != AddressFamily::Bridge =>
        {
            Change::LinkRemoved(link.header.index)
        }
        _ => Change::LookAgain,
    }
}

fn of_feature(message: &NetlinkMessage<DeviceMessage>) -> Change {
    match message.payload {
        NetlinkPayload::Overrun(_) => Change::Overrun,
        _ => Change::LookAgain,
    }
}

/// Changes read but not yet told: removals in order, the others merged.
#[derive(Default)]
struct Waiting {
    removed: VecDeque<u32>,
    overrun: bool,
    look_again: bool,
}

impl Waiting {
    fn add(&mut self, change: Change) {
        match change {
            Change::LinkRemoved(ifindex) => self.removed.push_back(ifindex),
            Change::Overrun => self.overrun = true,
            Change::LookAgain => self.look_again = true,
        }
    }

    fn take(&mut self) -> Option<Change> {
        if let Some(ifindex) = self.removed.pop_front() {
            return Some(Change::LinkRemoved(ifindex));
        }
        // An overrun asks for all that a "look again" asks for.
        if std::mem::take(&mut self.overrun) {
            self.look_again = false;
            return Some(Change::Overrun);
        }
        std::mem::take(&mut self.look_again).then_some(Change::LookAgain)
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NetlinkHeader;
    use netlink_packet_route::link::LinkMessage;

    use super::*;

    fn removal(family: AddressFamily) -> NetlinkMessage<RouteNetlinkMessage> {
        let mut link = LinkMessage::default();
        link.header.index = 9;
        link.header.interface_family = family;
        NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)))
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_still_a_link() {
        assert_eq!(of_route(&removal(AddressFamily::Unspec)), Change::LinkRemoved(9));
        assert_eq!(of_route(&removal(AddressFamily::Bridge)), Change::LookAgain);
    }

    #[test]
    fn removals_come_first_and_none_is_merged_away() {
        let mut waiting = Waiting::default();
        for change in
            [Change::LookAgain, Change::LinkRemoved(1), Change::Overrun, Change::LookAgain, Change::LinkRemoved(2)]
        {
            waiting.add(change);
        }
        let told: Vec<_> = std::iter::from_fn(|| waiting.take()).collect();
        assert_eq!(told, [Change::LinkRemoved(1), Change::LinkRemoved(2), Change::Overrun]);
    }
}
