//! The sources and their last good looks.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::time::timeout;
use tracing::{info, warn};

use super::{ManagerError, guests::Guests};
use crate::{
    dataplane::foreign::tcx_programs,
    source::{
        HostSnapshot, OvsSnapshot,
        netlink::{Change, Netlink, NetlinkError},
        openflow::{OpenFlow, OpenFlowError},
        ovsdb::{Health, OvsdbWatch, default_rundir},
    },
    topology::model::{SlowPath, Topology},
};

/// How long the start waits for ovsdb-server's first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// How long a look waits for ovs-vswitchd: the heartbeat waits with it.
const SWITCH_ANSWER: Duration = Duration::from_millis(300);

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
    /// The last good word of ovs-vswitchd: why the bridge's flows are not the one NORMAL; `None`: they are.
    flows: Option<String>,
    /// Both words together.
    pub(super) ovs_snapshot: Option<Arc<OvsSnapshot>>,
    pub(super) guests: Guests,
}

impl Inputs {
    /// Connects and takes the first look.
    pub(super) async fn open(topology: &Topology) -> Result<Self, ManagerError> {
        let guests = Guests::open(topology).await?;
        let netlink = Netlink::connect()?;
        let host = whole(&netlink).await?;
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
        // Nobody has said that there is only NORMAL before ovs-vswitchd has.
        let flows = Some("ovs-vswitchd has not told the bridge's flows yet".into());
        let mut this = Self { netlink, host, rundir, bridge, ovs, told, flows, ovs_snapshot: None, guests };
        this.look_at_flows().await;
        Ok(this)
    }

    /// Asks ovs-vswitchd for the bridge's flows, if it has the bridge. One that does not answer at once has said nothing new.
    async fn look_at_flows(&mut self) {
        if self.told.as_ref().is_some_and(|told| told.bridge.is_some()) {
            let ask = async { OpenFlow::connect(&self.rundir, &self.bridge).await?.only_normal_flow().await };
            self.flows = match timeout(SWITCH_ANSWER, ask).await {
                Ok(Ok(true)) => None,
                Ok(Ok(false)) => Some(format!(
                    "the bridge has other flows than one NORMAL flow (ovs-ofctl dump-flows {})",
                    self.bridge
                )),
                Ok(Err(error @ OpenFlowError::Version)) => Some(error.to_string()),
                Ok(Err(_)) | Err(_) => self.flows.take(),
            };
        }
        self.join();
    }

    fn join(&mut self) {
        self.ovs_snapshot = self.told.clone();
        if let Some(why) = &self.flows
            && let Some(bridge) = self.ovs_snapshot.as_mut().and_then(|told| Arc::make_mut(told).bridge.as_mut())
        {
            bridge.ineligible.push(why.clone());
        }
    }

    /// Looks at the host again; a failed look keeps the last good one.
    pub(super) async fn look(&mut self) -> Result<(), NetlinkError> {
        self.host = whole(&self.netlink).await?;
        self.look_at_flows().await;
        Ok(())
    }

    /// Opens netlink anew after its stream broke.
    pub(super) fn reconnect(&mut self) -> Result<(), NetlinkError> {
        self.netlink = Netlink::connect()?;
        Ok(())
    }

    /// An interface is known to be gone.
    pub(super) fn forget(&mut self, ifindex: u32) {
        self.host.links.retain(|link| link.ifindex != ifindex);
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
            () = self.guests.changed() => News::Told,
        }
    }
}

/// One look at the host, tcx programs included.
async fn whole(netlink: &Netlink) -> Result<HostSnapshot, NetlinkError> {
    let mut host = netlink.snapshot().await?;
    for link in host.links.iter().filter(|link| link.mac.is_some()) {
        match tcx_programs(&link.name) {
            Ok(programs) if programs.is_empty() => {}
            Ok(programs) => host.others.programs.entry(link.ifindex).or_default().extend(programs),
            Err(error) => warn!("the kernel does not tell the tcx programs of {}: {error}", link.name),
        }
    }
    Ok(host)
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
