//! fastbridge's kernel programs: XDP ingress, TC ingress, TC egress. Glue only: bounds-checked frames and maps in, the
//! one decision of bridge-common, one action and one count out.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![cfg_attr(not(target_arch = "bpf"), allow(unused))]

mod account;
mod act;
mod hook;
mod maps;
mod packet;
mod tables;
mod verifier;
mod zones;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // Never reached: the verifier refuses a program that could come here, and the linker drops it.
    loop {}
}

/// The programs call helpers that only GPL-compatible programs may call.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
