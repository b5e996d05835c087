//! The sources and their last good looks.
//!
//! A whole look costs much on a large host. So it follows events, and whatever has none is glanced at with every beat: what is asked there
//! tells only that something changed. An event that is lost costs time: the next whole look is never far.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout;
use tracing::{info, warn};

use super::{ManagerError, due::Due, guests::Guests, switch::Switch};
use crate::{
    dataplane::foreign::tcx_programs,
    source::{
        HostSnapshot, OvsSnapshot,
        netlink::{Change, Netlink, NetlinkError},
        ovsdb::{Health, OvsdbWatch, default_rundir},
        sysctl::Sysctls,
    },
    topology::model::{SlowPath, Topology},
};

/// How long the start waits for ovsdb-server's first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// How long the loop waits for ovsdb-server when everything is read anew.
const ANEW: Duration = Duration::from_secs(1);

/// Sources, and what they last said.
pub(super) struct Inputs {
    pub(super) netlink: Netlink,
    pub(super) host: HostSnapshot,
    /// Open vSwitch's directory of sockets.
    pub(super) rundir: PathBuf,
    bridge: String,
    ovs: Option<OvsdbWatch>,
    /// The last good word of ovsdb-server.
    told: Option<Arc<OvsSnapshot>>,
    switch: Switch,
    /// Both words together.
    pub(super) ovs_snapshot: Option<Arc<OvsSnapshot>>,
    pub(super) guests: Guests,
    /// Another number once any of what is here says something else than before.
    pub(super) version: u64,
    due: Due,
    glimpsed: Option<Glimpse>,
}

/// What tells of no change, in the fewest words.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Glimpse {
    sysctls: Sysctls,
    nftables: Option<u32>,
}

impl Inputs {
    /// Connects and takes the first look.
    pub(super) async fn open(topology: &Topology) -> Result<Self, ManagerError> {
        let guests = Guests::open(topology).await?;
        let netlink = Netlink::connect()?;
        let host = netlink.snapshot().await?;
        let rundir = default_rundir(std::env::var_os("OVS_RUNDIR").as_deref());
        let socket = rundir.join("db.sock");
        let wanted = match topology.bridge.slow_path {
            SlowPath::Linux => false,
            SlowPath::Ovs => true,
            SlowPath::Auto => socket.exists(),
        };
        let mut ovs = wanted.then(|| OvsdbWatch::spawn(socket, topology.bridge.name.clone()));
        let told = match &mut ovs {
            Some(watch) => first(watch).await,
            None => None,
        };
        if let Some(told) = &told {
            info!("Open vSwitch {}", told.version.escape_debug());
        }
        let bridge = topology.bridge.name.clone();
        let switch = Switch::new(&rundir, &bridge);
        let mut this = Self {
            netlink,
            host,
            rundir,
            bridge,
            ovs,
            told,
            switch,
            ovs_snapshot: None,
            guests,
            version: 0,
            due: Due::after(Instant::now()),
            glimpsed: None,
        };
        this.look_at_switch().await;
        this.join();
        Ok(this)
    }

    /// Asks ovs-vswitchd for its orders, if it has the bridge; whether they are others than before.
    async fn look_at_switch(&mut self) -> bool {
        self.told.as_ref().is_some_and(|told| told.bridge.is_some()) && self.switch.look().await
    }

    fn join(&mut self) {
        let mut joined = self.told.clone();
        if let Some(told) = joined.as_mut().filter(|told| told.bridge.is_some()) {
            Arc::make_mut(told).bridge.iter_mut().for_each(|bridge| self.switch.add_to(bridge));
        }
        if joined != self.ovs_snapshot {
            self.version += 1;
        }
        self.ovs_snapshot = joined;
    }

    /// Looks at the host again; a failed look keeps the last good one. `ours` are the numbers of our links.
    pub(super) async fn look(&mut self, ours: &BTreeSet<u32>) -> Result<(), NetlinkError> {
        // Until it has succeeded.
        self.due.soon();
        let mut host = self.netlink.snapshot().await?;
        add_programs(&mut host, ours);
        if !host.agrees(&self.host) {
            self.version += 1;
        }
        self.host = host;
        self.due = Due::after(Instant::now());
        Ok(())
    }

    /// Adds tcx programs to the first look, which came before it was known which links are ours.
    pub(super) fn complete(&mut self, ours: &BTreeSet<u32>) {
        add_programs(&mut self.host, ours);
    }

    /// Has the next beat look at the host again.
    pub(super) fn look_soon(&mut self) {
        self.due.soon();
    }

    /// Looks at what tells of no change, which costs little. Whether to look at the host again: something has changed, or it is due.
    pub(super) async fn glance(&mut self) -> bool {
        let version = self.version;
        if self.look_at_switch().await {
            self.join();
        }
        let before = self.glimpsed.take();
        // A kernel that does not answer is asked by a look, which tells why.
        let Ok(nftables) = self.netlink.nftables_generation().await else { return true };
        self.glimpsed = Some(Glimpse { sysctls: Sysctls::read(&self.bridge), nftables });
        before != self.glimpsed || version != self.version || self.due.is_due(Instant::now())
    }

    /// Reads everything anew, ovsdb-server's tables too.
    pub(super) async fn anew(&mut self, ours: &BTreeSet<u32>) -> Result<(), NetlinkError> {
        if self.ovs.is_some() {
            let mut watch = OvsdbWatch::spawn(self.rundir.join("db.sock"), self.bridge.clone());
            if let Ok(Some(told)) = timeout(ANEW, first(&mut watch)).await {
                self.told = Some(told);
            }
            self.ovs = Some(watch);
        }
        self.look_at_switch().await;
        self.join();
        self.look(ours).await
    }

    /// Opens netlink anew after its stream broke.
    pub(super) fn reconnect(&mut self) -> Result<(), NetlinkError> {
        self.netlink = Netlink::connect()?;
        Ok(())
    }

    /// An interface is known to be gone.
    pub(super) fn forget(&mut self, ifindex: u32) {
        self.host.links.retain(|link| link.ifindex != ifindex);
        self.version += 1;
    }

    /// Waits for something new. Cancel-safe.
    pub(super) async fn changed(&mut self) -> News {
        tokio::select! {
            biased;
            change = self.netlink.changed() => News::Host(change),
            snapshot = ovs_changed(&mut self.ovs) => {
                if snapshot.is_some() {
                    self.told = snapshot;
                    self.join();
                }
                News::Told
            }
            () = self.guests.changed() => {
                self.version += 1;
                News::Told
            }
        }
    }
}

/// Adds what netlink does not tell: tcx programs.
fn add_programs(host: &mut HostSnapshot, ours: &BTreeSet<u32>) {
    for link in host.links.iter().filter(|link| link.mac.is_some()) {
        let programs = tcx_programs(link.ifindex, &link.name, ours);
        if !programs.is_empty() {
            host.others.programs.entry(link.ifindex).or_default().extend(programs);
        }
    }
}

/// What is new.
pub(super) enum News {
    /// Something on the host, to be looked at.
    Host(Result<Change, NetlinkError>),
    /// ovsdb-server or libvirt said something, which is here already.
    Told,
}

async fn ovs_changed(watch: &mut Option<OvsdbWatch>) -> Option<Arc<OvsSnapshot>> {
    let Some(watch) = watch else { return std::future::pending().await };
    let state = watch.changed().await;
    if let Health::Lost { why, .. } = &state.health {
        warn!("ovsdb-server: {why}; its last word stands");
    }
    state.snapshot
}

async fn first(watch: &mut OvsdbWatch) -> Option<Arc<OvsSnapshot>> {
    let answered = async {
        loop {
            if let Some(snapshot) = watch.state().snapshot {
                return snapshot;
            }
            watch.changed().await;
        }
    };
    timeout(FIRST_ANSWER, answered).await.ok()
}
