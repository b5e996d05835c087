//! The sources and their last good looks.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::time::timeout;
use tracing::warn;

use crate::{
    source::{
        HostSnapshot, OvsSnapshot,
        netlink::{Change, Netlink, NetlinkError},
        ovsdb::{Health, OvsdbWatch, default_rundir},
    },
    topology::model::{SlowPath, Topology},
};

/// How long the start waits for ovsdb-server's first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// Sources, and what they last said.
pub(super) struct Inputs {
    pub(super) netlink: Netlink,
    pub(super) host: HostSnapshot,
    /// Open vSwitch's directory of sockets.
    pub(super) rundir: PathBuf,
    ovs: Option<OvsdbWatch>,
    /// The last good word of ovsdb-server.
    pub(super) ovs_snapshot: Option<Arc<OvsSnapshot>>,
}

impl Inputs {
    /// Connects and takes the first look.
    pub(super) async fn open(topology: &Topology) -> Result<Self, NetlinkError> {
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
        let ovs_snapshot = match &mut ovs {
            Some(watch) => first(watch).await,
            None => None,
        };
        Ok(Self { netlink, host, rundir, ovs, ovs_snapshot })
    }

    /// Looks at the host again; a failed look keeps the last good one.
    pub(super) async fn look(&mut self) -> Result<(), NetlinkError> {
        self.host = self.netlink.snapshot().await?;
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
                    self.ovs_snapshot = snapshot;
                }
                News::Ovs
            }
        }
    }
}

/// What is new.
pub(super) enum News {
    /// Something on the host, to be looked at.
    Host(Result<Change, NetlinkError>),
    /// ovsdb-server said something, which is in [`Inputs::ovs_snapshot`] already.
    Ovs,
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
