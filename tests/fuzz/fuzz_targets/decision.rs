//! The fuzz body of `bridge_tests::model::fuzz` under libFuzzer: tables and frame both come from the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bridge_tests::model::fuzz::one(input));
