//! Telemetry: one [`Snapshot`] of what the maps and the manager know, and its Prometheus page.
//!
//! * [`snapshot`]: plain data, filled by whoever reads the maps;
//! * [`exposition`]: [`Snapshot`] to text, pure;
//! * [`server`]: the text over HTTP.
//!
//! Must not: read maps, keep series from one scrape to the next, put an address into a label.

pub mod exposition;
pub mod server;
pub mod snapshot;

pub use exposition::render;
pub use server::{Provider, ServeError, Server, serve};
pub use snapshot::{Build, Hook, MapFill, Port, PortTallies, Reconcile, ReconcileState, RuleCount, Snapshot, Tally};

#[cfg(test)]
pub(crate) mod fixture;
