//! What the kernel shows of one network namespace by rtnetlink and the netdev family.
//!
//! `Netlink::connect` opens its sockets in the calling thread's network namespace; everything later goes through those sockets, whatever
//! thread polls. It reads links and addresses, says when to look again, and renews a Linux bridge's entry. It decides nothing and, apart from
//! that renewal, changes nothing. It never reads /sys (the wrong namespace under `ip netns exec`).
//!
//! rtnetlink's own `LinkGetRequest` and its like are not used: they hide `NLM_F_DUMP_INTR`, and the message codec beneath drops what it cannot
//! parse, so that a partial dump would look whole. [`channel`] keeps netlink-proto's connection and closes both holes.

mod address;
mod channel;
mod disciplines;
mod events;
mod fdb;
mod features;
mod link;
mod nftables;
mod raw;
mod texts;
mod vlan;

use netlink_packet_core::DecodeError;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use self::channel::Channel;
pub use self::events::Change;
use self::events::Events;
pub use self::fdb::StationNews;
use self::features::Features;
use self::raw::Raw;
use super::{HostSnapshot, Others, SlowFdb, sysctl};
use bridge_common::abi::StationKey;

/// How often an inconsistent look is repeated before it is an error.
const LOOKS: u32 = 10;

/// Why the kernel's state could not be read or renewed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// Not inside a tokio runtime with I/O and time.
    #[error("netlink needs a running tokio runtime: {0}")]
    NoRuntime(#[from] tokio::runtime::TryCurrentError),
    /// A socket could not be opened or set up.
    #[error("cannot open a netlink socket: {0}; is the limit of open files reached?")]
    Socket(#[from] std::io::Error),
    /// The connection ended, or a reply ended without its end mark.
    #[error("the netlink connection ended before the kernel's answer was whole; connect again")]
    Closed,
    /// The kernel did not answer in time.
    #[error("the kernel did not answer on netlink within {0} s; connect again")]
    Timeout(u64),
    /// The kernel refused.
    #[error("the kernel refused a netlink request: {0}")]
    Refused(std::io::Error),
    /// It refused because of who asks.
    #[error("the kernel does not show us {0}: Operation not permitted; run as root, or give CAP_NET_ADMIN")]
    NotPermitted(&'static str),
    /// A message or row that cannot be read: the look is not used.
    #[error("netlink: cannot read what the kernel sent: {0}; this kernel needs a newer fastbridge")]
    Unreadable(String),
    /// Every look was interrupted by changes.
    #[error(
        "the host's interfaces changed during each of {LOOKS} looks; is something creating and deleting interfaces in a loop?"
    )]
    NeverConsistent,
}

impl From<DecodeError> for NetlinkError {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// A view on one network namespace.
pub struct Netlink {
    route: Channel<RouteNetlinkMessage>,
    /// For what is read by hand: links, addresses, VLANs, and what others have put there; the second one is missing on a kernel without netfilter.
    by_hand: Channel<Raw>,
    netfilter: Option<Channel<Raw>>,
    features: Option<Features>,
    events: Events,
}

impl Netlink {
    /// Opens its sockets in the calling thread's network namespace. Must be called inside a tokio runtime, on which it spawns small tasks that
    /// end with it. Events are queued from here on, so that a snapshot taken after `connect` misses nothing.
    pub fn connect() -> Result<Self, NetlinkError> {
        tokio::runtime::Handle::try_current()?;
        let route = Channel::open(netlink_sys::protocols::NETLINK_ROUTE)?;
        let by_hand = Channel::open(netlink_sys::protocols::NETLINK_ROUTE)?;
        let netfilter = match Channel::open(netlink_sys::protocols::NETLINK_NETFILTER) {
            Err(NetlinkError::Socket(error)) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => None,
            opened => Some(opened?),
        };
        let mut events = Events::open()?;
        let features = Features::open(&mut events)?;
        Ok(Self { route, by_hand, netfilter, features, events })
    }

    /// One consistent look: links by ascending ifindex, addresses ascending, no address twice. Interrupted dumps are repeated (bounded), a
    /// partial one is an error.
    pub async fn snapshot(&self) -> Result<HostSnapshot, NetlinkError> {
        for _ in 0..LOOKS {
            if let Some(snapshot) = self.look().await? {
                return Ok(snapshot);
            }
        }
        Err(NetlinkError::NeverConsistent)
    }

    /// `None`: links and addresses do not go together.
    async fn look(&self) -> Result<Option<HostSnapshot>, NetlinkError> {
        let rows = self.by_hand.dump(texts::links_request()).await?.into_iter().map(texts::link);
        let mut links = link::links(rows.collect::<Result<_, _>>()?)?;
        let rows = self.by_hand.dump(texts::addresses_request()).await?.into_iter().map(texts::address);
        let Some(addresses) = address::addresses(rows.collect::<Result<_, _>>()?, &links)? else { return Ok(None) };
        if sysctl::bridges_call_netfilter() {
            links.iter_mut().filter_map(|(link, _)| link.bridge.as_mut()).for_each(|bridge| bridge.nf_call = true);
        }
        if let Some(features) = &self.features {
            let targets = features.xdp_targets().await?;
            for (link, _) in &mut links {
                link.xdp_target = targets.get(&link.ifindex).copied();
            }
        }
        if links.iter().any(|(link, _)| link.bridge.is_some_and(|bridge| bridge.vlan_filtering)) {
            let mut vlans = vlan::look(&self.by_hand).await?;
            for (link, _) in links.iter_mut().filter(|(link, _)| link.bridge_port.is_some()) {
                link.vlans = vlans.remove(&link.ifindex);
            }
        }
        let others = self.others().await?;
        Ok(Some(HostSnapshot { links: links.into_iter().map(|(link, _)| link).collect(), addresses, others }))
    }

    async fn others(&self) -> Result<Others, NetlinkError> {
        let disciplines = disciplines::look(&self.by_hand).await?;
        let chains = match &self.netfilter {
            Some(netfilter) => nftables::look(netfilter).await?,
            None => Default::default(),
        };
        let (programs, qdiscs) = (disciplines.filters, disciplines.chosen);
        Ok(Others { programs, qdiscs, devices: chains.devices, bridge: chains.bridge })
    }

    /// A number that changes with every change of nftables, which is far less to ask for than what changed.
    pub async fn nftables_generation(&self) -> Result<Option<u32>, NetlinkError> {
        match &self.netfilter {
            Some(netfilter) => nftables::generation(netfilter).await,
            None => Ok(None),
        }
    }

    /// Waits until something changed. Cancel-safe. Events are merged: one answer may stand for many, removals come first and one by one.
    pub async fn changed(&mut self) -> Result<Change, NetlinkError> {
        self.events.next().await
    }

    /// What became of the stations of Linux bridges since the last call, in order; `None`: some of it was lost, or this is the first call.
    pub fn stations(&mut self) -> Option<Vec<StationNews>> {
        self.events.stations()
    }

    /// Where the Linux bridge with this index has each station.
    pub async fn fdb(&self, bridge: u32) -> Result<SlowFdb, NetlinkError> {
        fdb::whole(&self.route, bridge).await
    }

    /// Makes the Linux bridge's entry for a station on its port `ifindex` young again (net/bridge/br_fdb.c `__br_fdb_add`, `NTF_USE`). It
    /// stays dynamic and ages as before, but as if the station had just sent: without an entry the bridge makes one, and an entry on
    /// another port moves here. So call it only for stations seen on this port since the last call. The port must be in state learning or
    /// forwarding with `learning` on, else the kernel does nothing and says nothing.
    pub async fn refresh_linux(&self, ifindex: u32, station: StationKey) -> Result<(), NetlinkError> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.header.ifindex = ifindex;
        // br_fdb_add refuses any other state than permanent, noarp and reachable; with NTF_USE it is not stored.
        message.header.state = NeighbourState::Reachable;
        // NTF_MASTER: rtnl_fdb_add asks the port's bridge only if it is set or no flag is.
        message.header.flags = NeighbourFlags::Use | NeighbourFlags::Controller;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(station.mac.to_vec()));
        if station.vlan != 0 {
            message.attributes.push(NeighbourAttribute::Vlan(station.vlan));
        }
        self.route.change(RouteNetlinkMessage::NewNeighbour(message)).await
    }
}
