//! The slow path's memory: a station that it has forgotten, or has elsewhere, is forgotten here too, since alone it would flood for it or send
//! there (design section 1, Equivalence). Ageing is no part of this: both age alike, and what we keep young is kept young there.
//!
//! Open vSwitch is asked with every beat for a few numbers, and for its whole FDB only when they say that something was lost. A Linux
//! bridge tells by itself.

use std::{collections::HashMap, time::Duration};

use bridge_common::abi::StationKey;
use tracing::{debug, warn};

use super::{inputs::Inputs, round::Manager};
use crate::{
    dataplane::DataplaneError,
    desired::SlowPathKind,
    source::{
        OvsInterface, SlowFdb,
        netlink::NetlinkError,
        unixctl::{FdbStats, Unixctl, UnixctlError},
    },
};

/// How long a station that we have learned from a frame may be on its way to the slow path: an upcall, a packet socket's queue.
const LEARNING: Duration = Duration::from_millis(200);

/// What ovs-vswitchd last told of its FDB.
#[derive(Default)]
pub(super) struct Memory {
    /// Its process id and its numbers; `None`: it has to be asked for everything.
    last: Option<(u32, FdbStats)>,
    /// The last error told, so that it is told once.
    told: String,
}

/// Why the slow path's memory is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum MemoryError {
    #[error(transparent)]
    Unixctl(#[from] UnixctlError),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
}

impl Memory {
    /// The bridge or its ports changed: what was told may have been told of others.
    pub(super) fn doubt(&mut self) {
        self.last = None;
    }
}

impl Manager {
    /// Forgets what the slow path has forgotten. Errors are told once each.
    pub(super) async fn follow(&mut self, inputs: &mut Inputs) {
        let outcome = match self.desired.slow_path {
            SlowPathKind::Linux => self.follow_linux(inputs).await,
            SlowPathKind::OvsKernel | SlowPathKind::OvsUserspace => self.follow_ovs(inputs).await,
        };
        let text = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        if self.memory.told != text && !text.is_empty() {
            warn!(
                "what the bridge forgets of its stations is not known, frames to them may still be forwarded: {text}"
            );
        }
        self.memory.told = text;
    }

    async fn follow_linux(&mut self, inputs: &mut Inputs) -> Result<(), MemoryError> {
        let Some(bridge) = self.desired.device else { return Ok(()) };
        let Some(news) = inputs.netlink.stations() else {
            return self.agree(async || Ok(inputs.netlink.fdb(bridge).await?)).await.map(drop);
        };
        let ours = || news.iter().filter(|news| news.bridge == bridge);
        let keys: Vec<_> = ours().map(|news| news.station).collect();
        if keys.is_empty() {
            return Ok(());
        }
        // The last word of each.
        let last: HashMap<_, _> = ours().map(|news| (news.station, (news.ifindex, news.gone))).collect();
        let gone =
            |station: &StationKey, ifindex: u32| last.get(station).is_some_and(|(at, gone)| (*at == ifindex) == *gone);
        let forgotten = self.executor.forget_stations(&keys, gone)?;
        debug!(forgotten, "the bridge forgot stations");
        Ok(())
    }

    async fn follow_ovs(&mut self, inputs: &Inputs) -> Result<(), MemoryError> {
        if interfaces(inputs).is_empty() {
            return Ok(());
        }
        let before = self.memory.last.take();
        let mut switch = Unixctl::connect(&inputs.rundir).await?;
        let now = (switch.pid(), switch.fdb_stats(&self.desired.bridge).await?);
        if before.is_none_or(|(pid, stats)| pid != now.0 || now.1.lost_since(&stats)) {
            self.read_ovs(&mut switch, inputs).await?;
        }
        self.memory.last = Some(now);
        Ok(())
    }

    /// Forgets what Open vSwitch does not have where we have it; what it has.
    pub(super) async fn agree_with_ovs(&mut self, inputs: &Inputs) -> Result<SlowFdb, MemoryError> {
        let mut switch = Unixctl::connect(&inputs.rundir).await?;
        self.read_ovs(&mut switch, inputs).await
    }

    async fn read_ovs(&mut self, switch: &mut Unixctl, inputs: &Inputs) -> Result<SlowFdb, MemoryError> {
        let numbers: HashMap<_, _> =
            interfaces(inputs).into_iter().filter_map(|(ifindex, port)| Some((port.ofport?, ifindex))).collect();
        let place = |ofport: u16| numbers.get(&ofport).copied().unwrap_or_default();
        let bridge = self.desired.bridge.clone();
        let read = async || {
            let entries = switch.fdb(&bridge).await?.into_iter();
            let has = entries.map(|entry| (StationKey { mac: entry.mac, vlan: entry.vlan }, place(entry.ofport)));
            Ok(has.collect())
        };
        self.agree(read).await
    }

    /// Forgets what the slow path does not have where we have it, twice: it learns later than we do. What it has.
    async fn agree(
        &mut self,
        mut read: impl AsyncFnMut() -> Result<SlowFdb, MemoryError>,
    ) -> Result<SlowFdb, MemoryError> {
        match self.compare(&mut read).await {
            Ok(has) => Ok(has),
            Err(error) => self.forget_all().and(Err(error)),
        }
    }

    async fn compare(
        &mut self,
        read: &mut impl AsyncFnMut() -> Result<SlowFdb, MemoryError>,
    ) -> Result<SlowFdb, MemoryError> {
        fn gone(has: &SlowFdb) -> impl Fn(&StationKey, u32) -> bool {
            |station, ifindex| has.get(station) != Some(&ifindex)
        }
        let has = read().await?;
        let missed = self.executor.stations_where(gone(&has))?;
        if missed.is_empty() {
            return Ok(has);
        }
        tokio::time::sleep(LEARNING).await;
        let has = read().await?;
        let forgotten = self.executor.forget_stations(&missed, gone(&has))?;
        debug!(missed = missed.len(), forgotten, "compared with the bridge's stations");
        Ok(has)
    }

    /// In doubt the slow path has forgotten everything.
    fn forget_all(&mut self) -> Result<(), MemoryError> {
        let all = self.executor.stations_where(|_, _| true)?;
        Ok(self.executor.forget_stations(&all, |_, _| true).map(drop)?)
    }
}

/// The interfaces of Open vSwitch's bridge by their indexes.
pub(super) fn interfaces(inputs: &Inputs) -> HashMap<u32, &OvsInterface> {
    let bridge = inputs.ovs_snapshot.as_ref().and_then(|snapshot| snapshot.bridge.as_ref());
    let all = bridge.into_iter().flat_map(|bridge| &bridge.interfaces);
    all.filter_map(|interface| Some((interface.ifindex?, interface))).collect()
}
