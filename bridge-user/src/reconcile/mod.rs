//! Brings a dataplane to the desired state: look, plan, execute. Knows the dataplane only by the trait [`Kernel`].
//!
//! What fails is not retried here: the next round looks again and plans from what is really there. Must not: sleep,
//! read a clock, decide what is desired.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::error::Error;

use crate::desired::Desired;
use crate::plan::{self, Actual, Op, PlanNote, Scope};

/// The one executor of ops.
pub trait Kernel {
    /// What can go wrong in it.
    type Error: Error;

    /// What the dataplane holds, whole. A look that is not whole is an error.
    fn observe(&mut self) -> Result<Actual, Self::Error>;

    /// Executes one op. Each is idempotent: what is there already, or gone already, is success.
    fn apply(&mut self, op: &Op) -> Result<(), Fault<Self::Error>>;
}

/// Why an op was not done.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Fault<E: Error> {
    /// The interface with this ifindex is gone (ENODEV, ENOLINK, or its name is another's): look at the host again.
    #[error("interface {0} is gone")]
    Gone(u32),
    /// Anything else.
    #[error("{0}")]
    Failed(E),
}

/// An op that failed.
#[derive(Debug, PartialEq)]
pub struct Failure<E> {
    /// The op.
    pub op: Op,
    /// Why.
    pub error: E,
}

/// What one round did.
#[derive(Debug, PartialEq)]
pub struct Report<E> {
    /// Ops done.
    pub applied: usize,
    /// Ops left out because of one that failed before.
    pub skipped: usize,
    /// What failed.
    pub failed: Vec<Failure<E>>,
    /// Interfaces that went away under the plan. No failure: the host must be looked at again.
    pub gone: BTreeSet<u32>,
    /// What the plan leaves undone.
    pub notes: Vec<PlanNote>,
}

impl<E> Report<E> {
    /// Whether the dataplane now holds what was desired (as far as there were slots).
    pub fn is_settled(&self) -> bool {
        self.failed.is_empty() && self.gone.is_empty()
    }
}

/// One round. Errors: only the look; what goes wrong later is in the report.
///
/// An op that fails takes with it what depends on it: everything after a control word or the policy, the later ops of
/// the same slot after a port's op, nothing after one of the host's stations. So ports fail one by one, each
/// between two ops of its own sequence.
pub fn converge<K: Kernel>(kernel: &mut K, desired: &Desired) -> Result<Report<K::Error>, K::Error> {
    let plan = plan::diff(desired, &kernel.observe()?);
    let mut report = Report { applied: 0, skipped: 0, failed: Vec::new(), gone: BTreeSet::new(), notes: plan.notes };
    let mut broken = BTreeSet::new();
    for op in plan.ops {
        let scope = op.scope();
        if broken.contains(&Scope::Global) || broken.contains(&scope) {
            report.skipped += 1;
            continue;
        }
        match kernel.apply(&op) {
            Ok(()) => {
                report.applied += 1;
                continue;
            }
            Err(Fault::Gone(ifindex)) => _ = report.gone.insert(ifindex),
            Err(Fault::Failed(error)) => report.failed.push(Failure { op, error }),
        }
        if scope != Scope::Alone {
            broken.insert(scope);
        }
    }
    Ok(report)
}
