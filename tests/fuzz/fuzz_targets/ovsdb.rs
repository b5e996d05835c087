//! Ovsdb-server's messages, under libFuzzer: the body of `bridge_user::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    bridge_user::fuzz::ovsdb(input);
});
