//! Which programs sit at an interface's tcx hooks, by number: one short system call for each place, whoever they belong to. aya asks the
//! same, but opens every program, which takes more calls, and a privilege (CAP_SYS_ADMIN) that the manager should not have.

use std::io;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Ingress,
    Egress,
}

/// How many programs of one place are told by number.
const TOLD: usize = 4;

/// The programs of one place. The revision counts every change, but begins anew once the last program has gone; the kernel gives
/// no number of a program or link twice, until 2^31 of them were made.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tcx {
    revision: u64,
    count: u32,
    programs: [u32; TOLD],
    links: [u32; TOLD],
}

impl Tcx {
    /// BPF_PROG_QUERY (`struct { ... } query` of `union bpf_attr` in linux/bpf.h). `None`: no tcx, or no such interface.
    pub(super) fn query(ifindex: u32, place: Place) -> Option<Self> {
        const BPF_PROG_QUERY: libc::c_int = 16;
        const BPF_TCX_INGRESS: u64 = 46;
        const BPF_TCX_EGRESS: u64 = 47;
        let kind = if place == Place::Ingress { BPF_TCX_INGRESS } else { BPF_TCX_EGRESS };
        let mut found = Self::default();
        let (programs, links) = (found.programs.as_mut_ptr() as u64, found.links.as_mut_ptr() as u64);
        let mut ask = [u64::from(ifindex) | kind << 32, 0, programs, TOLD as u64, 0, links, 0, 0];
        // SAFETY: the attribute names two arrays of as many numbers as it states, which live through the call.
        let failed = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, ask.as_mut_ptr(), size_of_val(&ask)) };
        // With more programs than fit, the kernel has told the first ones and how many there are.
        if failed != 0 && io::Error::last_os_error().raw_os_error() != Some(libc::ENOSPC) {
            return None;
        }
        (found.count, found.revision) = (ask[3] as u32, ask[7]);
        Some(found)
    }

    /// The numbers of each program and of its link (0: attached without one), in the order in which they run; the first four.
    pub(super) fn programs(&self) -> impl Iterator<Item = (u32, u32)> {
        self.programs.iter().copied().zip(self.links.iter().copied()).take(self.count as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_programs_are_told_as_there_are_and_fit() {
        let told = |count| Tcx { count, programs: [7, 8, 9, 10], links: [1, 0, 3, 4], ..Tcx::default() };
        assert_eq!(told(0).programs().count(), 0);
        assert_eq!(told(2).programs().collect::<Vec<_>>(), [(7, 1), (8, 0)]);
        assert_eq!(told(9).programs().count(), TOLD);
    }

    #[test]
    fn an_interface_that_is_not_there_has_none() {
        assert_eq!(Tcx::query(u32::MAX >> 1, Place::Ingress), None);
    }
}
