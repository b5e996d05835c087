//! One round: from the last looks to a desired state, to ops, to notes and heartbeat.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tracing::{error, warn};

use super::{
    ManagerError,
    guests::Told,
    inputs::Inputs,
    memory::Memory,
    progress::{Outcome, Progress, Rest},
    remarks,
};
use crate::{
    clock::monotonic_ns,
    dataplane::{DataplaneError, executor::Executor},
    desired::{self, Desired, DesiredPort, HookPoint},
    policy::{self, lowered::Lowered},
    reconcile::{self, Report},
    topology::model::{OnExit, Topology},
};

/// The manager of one bridge.
pub(super) struct Manager {
    pub(super) pins: PathBuf,
    pub(super) topology: Topology,
    pub(super) executor: Executor,
    pub(super) desired: Desired,
    pub(super) progress: Arc<Mutex<Progress>>,
    pub(super) lowered: Arc<Lowered>,
    /// What `lowered` was made from; the policy only when the topology changed.
    lowered_from: Vec<std::net::IpAddr>,
    pub(super) before_attach: BTreeMap<u32, u64>,
    /// The last error told, so that it is told once.
    pub(super) told: String,
    /// What libvirt had said by the last round.
    pub(super) guests: Option<Told>,
    /// What the last round came to, if there is nothing left to do.
    pub(super) rest: Option<Rest>,
    /// Remarks of the last round: each is logged when it appears.
    pub(super) remarked: Vec<String>,
    /// Source addresses in no zone, as of the last sweep.
    pub(super) zoneless: remarks::Seen,
    /// Interfaces through which frames came whose tag lay beside them.
    pub(super) tags_beside: BTreeSet<u32>,
    pub(super) refreshed_ns: u64,
    pub(super) memory: Memory,
}

impl Manager {
    /// Takes the bridge over and brings it to the desired state for the first time.
    pub(super) fn start(pins: &Path, topology: Topology, inputs: &mut Inputs) -> Result<Self, ManagerError> {
        let limits = topology.limits;
        // The policy is lowered for good once the old manager's rule slots are known.
        let draft = Arc::new(policy::lower(&topology.policy, &inputs.host.addresses, &[])?);
        let desired = desire(&topology, inputs, &draft)?.harmless()?;
        accept_unpoliced(&desired)?;
        let executor = Executor::open(pins, &topology.bridge.name, limits)?;
        inputs.complete(&executor.link_ids());
        let lowered = Arc::new(policy::lower(&topology.policy, &inputs.host.addresses, executor.rule_ids())?);
        let before_attach = executor.previous().ports.values().map(|port| (port.ifindex, port.before_attach)).collect();
        let mut manager = Self {
            pins: pins.into(),
            topology,
            executor,
            desired,
            progress: Arc::new(Mutex::new(Progress::starting())),
            lowered,
            lowered_from: inputs.host.addresses.clone(),
            before_attach,
            told: String::new(),
            guests: None,
            rest: None,
            remarked: Vec::new(),
            zoneless: remarks::Seen::new(),
            tags_beside: BTreeSet::new(),
            refreshed_ns: monotonic_ns(),
            memory: Memory::default(),
        };
        if let Err(error) = manager.first_round(inputs) {
            manager.executor.give_up()?;
            return Err(error);
        }
        Ok(manager)
    }

    /// The first round must succeed, or nothing of it stays.
    fn first_round(&mut self, inputs: &Inputs) -> Result<(), ManagerError> {
        self.desired = self.desire(inputs)?;
        let report = self.converge(inputs)?;
        if let Some(failure) = report.failed.into_iter().next() {
            return Err(failure.error.into());
        }
        // Notes first: until the older maps are gone, `show` reads those that have notes.
        self.settled()?;
        Ok(self.executor.prune()?)
    }

    fn desire(&self, inputs: &Inputs) -> Result<Desired, desired::DesiredError> {
        desire(&self.topology, inputs, &self.lowered)
    }

    fn converge(&mut self, inputs: &Inputs) -> Result<Report<DataplaneError>, DataplaneError> {
        self.guests = inputs.guests.told().cloned();
        self.remark(inputs);
        let received = inputs.host.links.iter().map(|link| (link.ifindex, link.rx_packets));
        let received: BTreeMap<_, _> = received.collect();
        for ifindex in self.desired.ports.keys() {
            let count = received.get(ifindex).copied().unwrap_or_default();
            self.before_attach.entry(*ifindex).or_insert(count);
        }
        self.before_attach.retain(|ifindex, _| self.desired.ports.contains_key(ifindex));
        reconcile::converge(&mut self.executor, &self.desired)
    }

    /// Logs each remark when it appears, before anything is attached. Whether there are others than before.
    fn remark(&mut self, inputs: &Inputs) -> bool {
        let mut remarks = remarks::remarks(&self.topology, &self.desired, inputs, &self.zoneless);
        remarks.extend(remarks::tags_beside(&self.desired, &self.tags_beside));
        for remark in remarks.iter().filter(|remark| !self.remarked.contains(remark)) {
            warn!("{remark}");
        }
        let others = remarks != self.remarked;
        self.remarked = remarks;
        others
    }

    /// After a glance at which nothing was new. While there is nothing to do only the heart beats.
    pub(super) fn beat(&mut self, inputs: &Inputs) {
        let Some(rest) = self.rest.as_ref().filter(|rest| rest.version == inputs.version) else {
            return self.round(inputs);
        };
        let outcome = rest.outcome.clone();
        match self.executor.beat(monotonic_ns()) {
            Ok(()) => self.tell(outcome),
            Err(error) => self.failed(&error.to_string()),
        }
    }

    /// One round. Errors are told once each, counted, and tried again in the next round.
    pub(super) fn round(&mut self, inputs: &Inputs) {
        match self.try_round(inputs) {
            Ok(outcome) => self.tell(outcome),
            Err(error) => self.failed(&error.to_string()),
        }
    }

    fn try_round(&mut self, inputs: &Inputs) -> Result<Outcome, ManagerError> {
        if let Some(outcome) = self.resting(inputs)? {
            return Ok(outcome);
        }
        if self.lowered_from != inputs.host.addresses {
            self.lower(inputs)?;
        }
        let refused = match self.desire(inputs) {
            // A port that cannot be had as the file asks is policed all the same, and a new one beside it is served.
            Ok(desired) => {
                self.desired = desired;
                self.desired.refusal()
            }
            Err(error) => {
                self.keep_what_is_there(inputs, &error);
                Some(error)
            }
        };
        let report = self.converge(inputs)?;
        self.settled()?;
        let outcome = match (refused, report.failed.first()) {
            (Some(error), _) => Err(error.to_string()),
            (None, Some(failure)) => Err(failure.error.to_string()),
            (None, None) => Ok(report.notes.iter().map(ToString::to_string).collect()),
        };
        let rest = || Rest { version: inputs.version, outcome: outcome.clone() };
        self.rest = report.is_settled().then(rest);
        Ok(outcome)
    }

    /// What the last round came to, if nothing has changed since of what it was made from, and nothing of ours has gone.
    fn resting(&mut self, inputs: &Inputs) -> Result<Option<Outcome>, ManagerError> {
        let Some(rest) = self.rest.take().filter(|rest| rest.version == inputs.version) else { return Ok(None) };
        if self.executor.bury()? {
            return Ok(None);
        }
        if self.remark(inputs) {
            self.settled()?;
        } else {
            self.executor.beat(monotonic_ns())?;
        }
        let outcome = rest.outcome.clone();
        self.rest = Some(rest);
        Ok(Some(outcome))
    }

    /// The host is such that no desired state can be told: the last one stays, less the ports that are gone (or nobody's
    /// any more, if the bridge is).
    fn keep_what_is_there(&mut self, inputs: &Inputs, error: &desired::DesiredError) {
        let bridge_gone = matches!(error, desired::DesiredError::NoSuchBridge { .. });
        let present = |ifindex: u32| inputs.host.links.iter().any(|link| link.ifindex == ifindex);
        self.desired.ports.retain(|ifindex, _| !bridge_gone && present(*ifindex));
    }

    /// What goes with every round that could look and act, even if one port failed: the loop turns.
    fn settled(&mut self) -> Result<(), ManagerError> {
        self.executor.beat(monotonic_ns())?;
        let notes = self.notes();
        self.executor.write_notes(&notes)?;
        Ok(())
    }

    fn lower(&mut self, inputs: &Inputs) -> Result<(), ManagerError> {
        let lowered = policy::lower(&self.topology.policy, &inputs.host.addresses, &self.lowered.rule_ids)?;
        self.lowered = Arc::new(lowered);
        self.lowered_from.clone_from(&inputs.host.addresses);
        Ok(())
    }

    /// Takes over a topology that was read again; `false`, with a sentence in the log, if that needs a restart.
    pub(super) fn adopt(&mut self, topology: Topology, inputs: &Inputs) -> bool {
        let old = &self.topology;
        let same = |topology: &Topology| (topology.bridge.name.clone(), topology.limits, topology.metrics);
        if same(&topology) != same(old) || topology.libvirt != old.libvirt {
            error!(
                "[bridge] name, [limits], [metrics] and [libvirt] change only with a restart; the last topology stays in \
                 force"
            );
            return false;
        }
        match self.fitting(&topology, inputs) {
            Ok(lowered) => {
                self.lowered = lowered;
                self.topology = topology;
                self.rest = None;
                true
            }
            Err(error) => {
                error!("the topology cannot be taken over, the last one stays in force: {error}");
                false
            }
        }
    }

    /// The topology's policy, lowered, if the whole of it could be brought about on this host now.
    fn fitting(&self, topology: &Topology, inputs: &Inputs) -> Result<Arc<Lowered>, ManagerError> {
        let lowered = Arc::new(policy::lower(&topology.policy, &self.lowered_from, &self.lowered.rule_ids)?);
        let built = desire(topology, inputs, &lowered);
        match built.and_then(Desired::harmless) {
            Ok(desired) => accept_unpoliced(&desired)?,
            // Not the new file's fault.
            Err(_) if self.desire(inputs).and_then(Desired::harmless).is_err() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(lowered)
    }

    /// Ports with all their programs attached.
    pub(super) fn attached_ports(&self) -> usize {
        self.desired.ports.iter().filter(|(ifindex, port)| self.is_attached(**ifindex, port)).count()
    }

    pub(super) fn is_attached(&self, ifindex: u32, port: &DesiredPort) -> bool {
        let points: Vec<_> = HookPoint::ALL.into_iter().filter(|point| port.hook.wants(*point)).collect();
        self.executor.is_attached(ifindex, &points)
    }

    pub(super) fn on_exit(&self) -> OnExit {
        self.topology.bridge.on_exit
    }

    /// Forwarding ends now, not when the heartbeat is stale.
    pub(super) fn stop_forwarding(mut self) -> Result<(), ManagerError> {
        Ok(self.executor.beat(0)?)
    }

    pub(super) fn remove(self) -> Result<(), ManagerError> {
        Ok(self.executor.remove()?)
    }
}

fn desire(topology: &Topology, inputs: &Inputs, lowered: &Arc<Lowered>) -> Result<Desired, desired::DesiredError> {
    desired::build(topology, &inputs.host, inputs.ovs_snapshot.as_deref(), inputs.guests.snapshot(), lowered)
}

/// Ports that pass every hook by must be accepted one by one.
fn accept_unpoliced(desired: &Desired) -> Result<(), ManagerError> {
    let refused = desired.unpoliced.iter().filter(|port| !port.allowed);
    let refused: Vec<_> = refused.map(|port| port.name.escape_debug().to_string()).collect();
    if refused.is_empty() { Ok(()) } else { Err(ManagerError::Unpoliced(refused)) }
}
