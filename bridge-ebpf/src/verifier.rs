//! What the compiler must not know, so that the verifier gets to see it.

/// The same number, of which the compiler knows nothing: it would leave out a comparison that an earlier one implies.
#[inline(always)]
pub fn unknown(number: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let same: usize;
        // SAFETY: a move. (Without any instruction two lines of source would claim the next one, which the kernel refuses.)
        unsafe {
            core::arch::asm!("{same} = {number}", same = out(reg) same, number = in(reg) number,
                options(pure, nomem, nostack));
        }
        same
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        number
    }
}

/// The same number, which the verifier does not take for the same: what a comparison tells of it does not tell of the other, kept elsewhere. It would
/// follow each range of that through all that comes.
#[inline(always)]
pub fn unlinked(number: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut same = number;
        // SAFETY: every bit stays. Any arithmetic ends the link.
        unsafe { core::arch::asm!("{same} &= -1", same = inout(reg) same, options(pure, nomem, nostack)) };
        same
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        number
    }
}
