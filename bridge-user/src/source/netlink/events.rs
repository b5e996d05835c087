//! When to look again. An event carries no state, apart from the removal of a link, whose entries must go with it.

use std::collections::VecDeque;

use futures::{FutureExt as _, StreamExt as _};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;

use super::NetlinkError;
use super::channel::{Pump, Unsolicited, listen};
use super::fdb::{News, StationNews};
use super::features::DeviceMessage;
use super::raw::Raw;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Links, bridge ports, addresses or XDP features changed: take a snapshot.
    LookAgain,
    /// Somebody's queueing disciplines or filters changed: take a snapshot soon. Whoever shapes traffic may change them all the time.
    LookSoon,
    /// The link with this ifindex left the namespace (deleted or moved): its entries must go now, then take a snapshot.
    LinkRemoved(u32),
    /// Events were lost, removals possibly too: take a snapshot and believe only that.
    Overrun,
}

/// Multicast groups. Changes of bridge ports come in `Link` as RTM_NEWLINK of family AF_BRIDGE; those of one VLAN's state there, in `Brvlan` alone.
const GROUPS: [u32; 5] = [
    MulticastGroup::Link as u32,
    MulticastGroup::Brvlan as u32,
    MulticastGroup::Ipv4Ifaddr as u32,
    MulticastGroup::Ipv6Ifaddr as u32,
    MulticastGroup::Tc as u32,
];

/// Message types (linux/rtnetlink.h): the removal of a link, and the first and last about queueing disciplines, classes and filters.
const RTM_DELLINK: u16 = 17;
const RTM_NEWQDISC: u16 = 36;
const RTM_GETTFILTER: u16 = 46;
/// The same of chains of filters, the first of which comes and goes with its filters.
const RTM_NEWCHAIN: u16 = 100;
const RTM_GETCHAIN: u16 = 102;
/// `struct ifinfomsg`: the family is its first byte.
const AF_BRIDGE: u8 = 7;
const IFINDEX: usize = 4;

/// Open sockets and what was read from them but not yet told.
pub(super) struct Events {
    route: Unsolicited<Raw>,
    /// On a socket of their own: thousands at once must not push out the others. None of them is a change to look at.
    stations: Unsolicited<RouteNetlinkMessage>,
    features: Option<Unsolicited<DeviceMessage>>,
    pumps: Vec<Pump>,
    waiting: Waiting,
    news: News,
}

impl Events {
    /// Listens to links, addresses, queueing disciplines, filters and stations of bridges.
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

fn of_route(message: &NetlinkMessage<Raw>) -> Change {
    let NetlinkPayload::InnerMessage(raw) = &message.payload else {
        return if matches!(message.payload, NetlinkPayload::Overrun(_)) { Change::Overrun } else { Change::LookAgain };
    };
    match (raw.kind, raw.word(IFINDEX)) {
        // Of family AF_BRIDGE it means that the port left its bridge; the link is still there.
        (RTM_DELLINK, Ok(ifindex)) if raw.body.first() != Some(&AF_BRIDGE) => Change::LinkRemoved(ifindex),
        (RTM_NEWQDISC..=RTM_GETTFILTER | RTM_NEWCHAIN..=RTM_GETCHAIN, _) => Change::LookSoon,
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
    look_soon: bool,
}

impl Waiting {
    fn add(&mut self, change: Change) {
        match change {
            Change::LinkRemoved(ifindex) => self.removed.push_back(ifindex),
            Change::Overrun => self.overrun = true,
            Change::LookAgain => self.look_again = true,
            Change::LookSoon => self.look_soon = true,
        }
    }

    fn take(&mut self) -> Option<Change> {
        if let Some(ifindex) = self.removed.pop_front() {
            return Some(Change::LinkRemoved(ifindex));
        }
        let Self { overrun, look_again, look_soon, .. } = std::mem::take(self);
        // Each asks for all that those after it ask for.
        let told = [(overrun, Change::Overrun), (look_again, Change::LookAgain), (look_soon, Change::LookSoon)];
        told.into_iter().find(|(happened, _)| *happened).map(|(_, change)| change)
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NetlinkHeader;

    use super::*;

    /// Of link 9.
    fn message(kind: u16, family: u8) -> NetlinkMessage<Raw> {
        let raw = Raw { kind, body: vec![family, 0, 0, 0, 9, 0, 0, 0] };
        NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(raw))
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_still_a_link() {
        assert_eq!(of_route(&message(RTM_DELLINK, 0)), Change::LinkRemoved(9));
        assert_eq!(of_route(&message(RTM_DELLINK, AF_BRIDGE)), Change::LookAgain);
    }

    #[test]
    fn what_cannot_be_read_means_look_again_and_what_was_lost_is_said() {
        let cut = Raw { kind: RTM_DELLINK, body: vec![0; 5] };
        let cut = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(cut));
        assert_eq!(of_route(&cut), Change::LookAgain);
        let lost = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::Overrun(Vec::new()));
        assert_eq!(of_route(&lost), Change::Overrun);
    }

    #[test]
    fn disciplines_and_filters_can_wait_and_links_and_addresses_cannot() {
        // RTM_NEWQDISC, RTM_DELQDISC, RTM_NEWTFILTER, RTM_DELTFILTER
        for kind in [36, 37, 44, 45] {
            assert_eq!(of_route(&message(kind, 0)), Change::LookSoon, "{kind}");
        }
        // RTM_NEWLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWVLAN, RTM_DELVLAN
        for kind in [16, 20, 21, 112, 113] {
            assert_eq!(of_route(&message(kind, 0)), Change::LookAgain, "{kind}");
        }
    }

    fn told(happened: &[Change]) -> Vec<Change> {
        let mut waiting = Waiting::default();
        happened.iter().for_each(|change| waiting.add(*change));
        std::iter::from_fn(|| waiting.take()).collect()
    }

    #[test]
    fn removals_come_first_and_none_is_merged_away() {
        use Change::{LinkRemoved, LookAgain, LookSoon, Overrun};
        let happened = [LookSoon, LookAgain, LinkRemoved(1), Overrun, LookAgain, LinkRemoved(2)];
        assert_eq!(told(&happened), [LinkRemoved(1), LinkRemoved(2), Overrun]);
        assert_eq!(told(&[LookSoon, LookAgain, LookSoon]), [LookAgain]);
        assert_eq!(told(&[LookSoon, LinkRemoved(3), LookSoon]), [LinkRemoved(3), LookSoon]);
        assert_eq!(told(&[]), []);
    }
}
