//! fastbridge's manager: from sources to a desired state, from a diff to operations, from counters to people.
//!
//! Data flows one way:
//! `source` snapshots -> `topology` + `policy` -> `desired` -> `plan` -> `reconcile` (the one executor) -> `dataplane`.
//! `desired` and `plan` read no clock and no environment. aya is imported only under `dataplane`.

pub mod cli;
pub mod clock;
pub mod dataplane;
pub mod desired;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod mac;
pub mod manager;
pub mod metrics;
pub mod plan;
pub mod policy;
pub mod reconcile;
pub mod source;
pub mod telemetry;
pub mod topology;
