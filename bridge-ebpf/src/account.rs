//! Counting: every judged frame once at its port, and once at its rule.

use aya_ebpf::EbpfContext;
use bridge_common::{
    abi::{CELLS, Cell},
    decide::NO_RULE,
};

use crate::{
    maps::{COUNTERS, LAST_VERDICT, RULES, records_verdict},
    verifier::unknown,
};

/// Counts one frame of `len` bytes under a cell of `Counted::cell`. With the `trace` feature it is logged as well: cell numbers are those of
/// `bridge_common::abi::Counted::cell`.
#[inline(always)]
pub fn account<C: EbpfContext>(context: &C, slot: u16, cell: usize, rule: u32, len: u32) {
    // The kernel compares the number that it indexes with, and no other.
    let cell = unknown(cell);
    if let Some(counters) = COUNTERS.get_ptr_mut(u32::from(slot))
        && cell < CELLS
    {
        // SAFETY: this CPU's own record, `cell` is inside it.
        unsafe { add(&raw mut (*counters).cells[cell], len) };
    }
    if rule != NO_RULE
        && let Some(cell) = RULES.get_ptr_mut(rule)
    {
        // SAFETY: this CPU's own cell.
        unsafe { add(cell, len) };
    }
    #[cfg(feature = "trace")]
    tell(context, slot, cell, rule, len);
    #[cfg(not(feature = "trace"))]
    let _ = context;
    if records_verdict()
        && let Some(last) = LAST_VERDICT.get_ptr_mut(0)
    {
        // SAFETY: this CPU's own word.
        unsafe { *last = 1 << 63 | u64::from(slot) << 16 | cell as u64 };
    }
}

/// One log line. Out of line: what it needs of the stack, on top of what the decision needs, is more than a program has.
#[cfg(feature = "trace")]
#[inline(never)]
fn tell<C: EbpfContext>(context: &C, slot: u16, cell: usize, rule: u32, len: u32) {
    aya_log_ebpf::info!(context, "slot {} cell {} rule {} len {}", slot, cell, rule, len);
}

/// # Safety
/// `cell` must be valid and this CPU's own.
#[inline(always)]
unsafe fn add(cell: *mut Cell, len: u32) {
    // SAFETY: by the caller's contract.
    unsafe {
        (*cell).packets += 1;
        (*cell).bytes += u64::from(len);
    }
}
