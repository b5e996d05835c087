//! The metrics endpoint, and the slow path's memory: stations that the fast path serves are shown to it before it
//! forgets them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bridge_common::abi::StationKey;
use tokio::{sync::watch, task::JoinHandle};
use tracing::{error, warn};

use super::{ManagerError, inputs::Inputs, memory, remarks::Seen as Zoneless, round::Manager};
use crate::{
    clock::monotonic_ns,
    dataplane::{DataplaneError, sweep::Seen},
    desired::SlowPathKind,
    metrics::{Server, Snapshot},
    source::openflow::{OpenFlow, Refresh},
    telemetry::Reader,
    topology::model::Topology,
};

/// A running endpoint; none if the topology names no address.
pub(super) struct Endpoint(Option<(watch::Sender<bool>, JoinHandle<()>)>);

impl Endpoint {
    /// Ends it and waits for its last answer.
    pub(super) async fn stop(self) {
        if let Some((stop, task)) = self.0 {
            let _ended_already = stop.send(true);
            let _ended_already = task.await;
        }
    }
}

/// Takes the address of `[metrics] listen`, before anything is attached: a refusal leaves nothing behind.
pub(super) async fn bind(topology: &Topology) -> Result<Option<Server>, ManagerError> {
    match topology.metrics {
        Some(address) => Ok(Some(Server::bind(address).await?)),
        None => Ok(None),
    }
}

/// Answers there.
pub(super) fn serve(manager: &Manager, server: Option<Server>) -> Endpoint {
    let Some(server) = server else { return Endpoint(None) };
    let (pins, bridge) = (manager.pins.clone(), manager.topology.bridge.name.clone());
    let progress = Arc::clone(&manager.progress);
    let provider = move || {
        let read = Reader::open(&pins, &bridge).and_then(|reader| reader.snapshot());
        let mut snapshot = read.unwrap_or_else(|error| {
            error!("metrics: {error}");
            Snapshot::default()
        });
        snapshot.reconcile = Some(progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner).tell());
        snapshot
    };
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        server.run(Arc::new(provider), stopped).await;
    });
    Endpoint(Some((stop, task)))
}

/// A station's time in the map may be this much older than its last frame (`abi::Station::seen_ns`).
const SEEN_EXACT_NS: u64 = 1_000_000_000;

impl Manager {
    /// A third of the ageing time leaves two more tries before the slow path forgets.
    pub(super) fn refresh_period(&self) -> Duration {
        Duration::from_nanos(self.desired.control.ageing_ns / 3)
    }

    /// Housekeeping of stations and flows, and the refresh of the slow path's entries.
    pub(super) async fn sweep(&mut self, inputs: &Inputs) {
        let now = monotonic_ns();
        let ageing_ns = self.desired.control.ageing_ns;
        let swept = match self.executor.maps().sweep(now, ageing_ns) {
            Ok(swept) => swept,
            Err(error) => return self.failed(&format!("sweeping: {error}")),
        };
        if let Err(error) = self.note_zoneless() {
            return self.failed(&format!("sweeping: {error}"));
        }
        // Sweeps come with the beat, which is never exact.
        if now.saturating_sub(self.refreshed_ns) + SEEN_EXACT_NS / 2 < ageing_ns / 3 {
            return;
        }
        let since = std::mem::replace(&mut self.refreshed_ns, now).saturating_sub(SEEN_EXACT_NS);
        let fresh: Vec<_> = swept.seen.into_iter().filter(|seen| seen.seen_ns >= since).collect();
        if let Err(error) = self.refresh(inputs, &fresh).await {
            warn!("the slow path's stations could not be refreshed, it may flood for some: {error}");
        }
    }

    fn note_zoneless(&mut self) -> Result<(), DataplaneError> {
        let names = self.port_names();
        let mut seen = Zoneless::new();
        for (address, slot) in self.executor.maps().zoneless()? {
            if let Some((_, name)) = names.get(&slot) {
                seen.entry(name.clone()).or_default().insert(address);
            }
        }
        if self.zoneless != seen {
            self.zoneless = seen;
            // What is told of them changes.
            self.rest = None;
        }
        Ok(())
    }

    /// Where frames came whose tag lay beside them is told.
    pub(super) fn note_tags_beside(&mut self) {
        match self.executor.tags_beside() {
            Ok(found) if *found == self.tags_beside => {}
            Ok(found) => {
                self.tags_beside.clone_from(found);
                // What is told of them changes.
                self.rest = None;
            }
            Err(error) => self.failed(&format!("looking for tags beside the frames: {error}")),
        }
    }

    /// Interface and name of every port, by slot.
    fn port_names(&self) -> BTreeMap<u16, (u32, String)> {
        let slots = self.executor.slots();
        let ports = self.desired.ports.iter();
        ports.filter_map(|(ifindex, port)| Some((*slots.get(ifindex)?, (*ifindex, port.name.clone())))).collect()
    }

    /// Shows the slow path those of these stations that it has where we have them: another one it would flood for, or move here.
    async fn refresh(&mut self, inputs: &Inputs, fresh: &[Seen]) -> Result<(), String> {
        if fresh.is_empty() {
            return Ok(());
        }
        let names = self.port_names();
        let at = fresh.iter().filter_map(|seen| Some((seen.station, names.get(&seen.slot)?.0)));
        if self.desired.slow_path == SlowPathKind::Linux {
            for (station, ifindex) in at {
                inputs.netlink.refresh_linux(ifindex, station).await.map_err(|error| error.to_string())?;
            }
            return Ok(());
        }
        let has = self.agree_with_ovs(inputs).await.map_err(|error| error.to_string())?;
        let ports = memory::interfaces(inputs);
        let refresh = |(station, ifindex): (StationKey, u32)| {
            let port = ports.get(&ifindex).filter(|_| has.get(&station) == Some(&ifindex))?;
            let tag = port.vlan.tags(station.vlan).then_some(station.vlan);
            Some(Refresh { ofport: port.ofport?, mac: station.mac, tag })
        };
        let entries: Vec<_> = at.filter_map(refresh).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let told = async {
            let mut switch = OpenFlow::connect(&inputs.rundir, &self.desired.bridge).await?;
            switch.refresh(&entries).await
        };
        told.await.map_err(|error| error.to_string())
    }
}
