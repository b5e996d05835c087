//! The manager: looks at the sources, keeps the dataplane as desired, and tells people how it goes.
//!
//! One loop does everything, so that the heartbeat says what it should: this loop still turns. Events only mean "look
//! again". A bad file or a failed look changes nothing.

mod due;
mod error;
mod file;
mod files;
mod guests;
mod inputs;
mod memory;
mod noting;
mod progress;
mod remarks;
mod round;
mod switch;
mod telemetry;

use std::{io::IsTerminal as _, path::Path, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

pub use error::ManagerError;
use file::FileWatch;
use inputs::{Inputs, News};
use round::Manager;

use crate::{
    source::netlink::{Change, NetlinkError},
    topology::{
        self, Parsed,
        model::{Libvirt, OnExit, Topology},
    },
};

/// The heartbeat, and the glance at what tells of no change: programs, chains, flows, sysctls, links that are no longer ours. What we must
/// yield to is seen within a second.
const BEAT: Duration = Duration::from_millis(500);
/// Housekeeping of stations and flows; more often where the slow path forgets sooner.
const SWEEP: Duration = Duration::from_secs(10);

/// Runs until SIGINT or SIGTERM. `libvirt`: a URI that stands in for the topology's.
///
/// # Errors
/// [`ManagerError`] with its exit code. Nothing half attached stays.
pub fn run(pins: &Path, topology: &Path, libvirt: Option<&str>) -> Result<(), ManagerError> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let _already_set = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
    let parsed = load(topology, libvirt)?;
    files::raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ManagerError::Runtime)?;
    runtime.block_on(supervise(pins, topology, libvirt, parsed))
}

/// The topology file, its warnings told, with the URI of the command line in it.
fn load(path: &Path, libvirt: Option<&str>) -> Result<Topology, ManagerError> {
    let Parsed { mut topology, warnings } = topology::load(path).map_err(ManagerError::Topology)?;
    for warning in &warnings {
        warn!("{warning}");
    }
    if let Some(uri) = libvirt {
        let guest_agent = topology.libvirt.is_some_and(|libvirt| libvirt.guest_agent);
        topology.libvirt = Some(Libvirt { uri: uri.to_owned(), guest_agent });
    }
    Ok(topology)
}

async fn supervise(pins: &Path, path: &Path, libvirt: Option<&str>, topology: Topology) -> Result<(), ManagerError> {
    let mut signals = Signals::listen().map_err(ManagerError::Runtime)?;
    let mut watch = FileWatch::new(path);
    let mut inputs = Inputs::open(&topology).await?;
    let server = telemetry::bind(&topology).await?;
    let mut manager = Manager::start(pins, topology, &mut inputs)?;
    let endpoint = telemetry::serve(&manager, server);
    println!("ready: {} ports", manager.attached_ports());
    let _no_systemd = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    let ended = turn(&mut manager, &mut inputs, &mut signals, &mut watch, libvirt).await;
    endpoint.stop().await;
    ended?;
    manager.leave()
}

/// Turns until told to stop.
async fn turn(
    manager: &mut Manager,
    inputs: &mut Inputs,
    signals: &mut Signals,
    watch: &mut FileWatch,
    libvirt: Option<&str>,
) -> Result<(), ManagerError> {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweep_at = Instant::now() + SWEEP.min(manager.refresh_period());
    loop {
        tokio::select! {
            biased;
            told = signals.next() => match told {
                Told::Stop => return Ok(()),
                Told::Reload => {
                    let since = Instant::now();
                    reload(manager, inputs, load(watch.path(), libvirt), "SIGHUP");
                    resync(manager, inputs, since).await;
                }
            },
            news = inputs.changed() => match news {
                News::Host(change) => take_up(manager, inputs, change).await?,
                News::Told => {
                    manager.memory.doubt();
                    manager.round(inputs);
                }
            },
            () = watch.changed() => reload(manager, inputs, load(watch.path(), libvirt), "the file changed"),
            _ = beat.tick() => {
                // Not everything that matters has an event: sysctls have none.
                let told = inputs.glance().await;
                if manager.executor.disturbed() || told {
                    look(manager, inputs).await;
                } else {
                    manager.beat(inputs);
                }
                manager.note_tags_beside();
                manager.follow(inputs).await;
                if Instant::now() >= sweep_at {
                    sweep_at = Instant::now() + SWEEP.min(manager.refresh_period());
                    manager.sweep(inputs).await;
                }
                let _no_systemd = sd_notify::notify(false, &[sd_notify::NotifyState::Watchdog]);
            }
        }
    }
}

async fn take_up(
    manager: &mut Manager,
    inputs: &mut Inputs,
    change: Result<Change, NetlinkError>,
) -> Result<(), ManagerError> {
    match change {
        Ok(Change::LinkRemoved(ifindex)) => {
            // Its entries go now, not after the next look.
            inputs.forget(ifindex);
            manager.round(inputs);
        }
        Ok(Change::LookAgain) => {}
        Ok(Change::LookSoon) => {
            inputs.look_soon();
            return Ok(());
        }
        Ok(Change::Overrun) => warn!("netlink events were lost; looking at everything again"),
        Err(error) => {
            error!("{error}");
            inputs.reconnect()?;
        }
    }
    look(manager, inputs).await;
    Ok(())
}

async fn look(manager: &mut Manager, inputs: &mut Inputs) {
    match inputs.look(&manager.executor.link_ids()).await {
        Ok(()) => manager.round(inputs),
        // The last good look stays.
        Err(error) => manager.failed(&error.to_string()),
    }
}

/// Reads every source anew and makes the dataplane as desired, whatever is believed to be so already.
async fn resync(manager: &mut Manager, inputs: &mut Inputs, since: Instant) {
    manager.rest = None;
    manager.memory.doubt();
    match inputs.anew(&manager.executor.link_ids()).await {
        Ok(()) => manager.round(inputs),
        Err(error) => manager.failed(&error.to_string()),
    }
    if manager.rest.is_some() {
        info!("everything was read anew and made true in {} ms", since.elapsed().as_millis());
    }
}

fn reload(manager: &mut Manager, inputs: &Inputs, loaded: Result<Topology, ManagerError>, why: &str) {
    match loaded {
        Ok(topology) => {
            if manager.adopt(topology, inputs) {
                info!("{why}: the topology is in force");
                manager.round(inputs);
            }
        }
        Err(diagnostics) => error!("{why}, but the topology is not taken over; the last good one stays: {diagnostics}"),
    }
}

/// What a signal asks for.
enum Told {
    Stop,
    Reload,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}

impl Manager {
    /// Leaves by `on_exit`.
    fn leave(self) -> Result<(), ManagerError> {
        match self.on_exit() {
            OnExit::Keep => {
                info!("leaving: programs and policy stay, forwarding stops");
                self.stop_forwarding()
            }
            OnExit::Detach => {
                info!("leaving: detaching everything");
                self.remove()
            }
        }
    }
}
