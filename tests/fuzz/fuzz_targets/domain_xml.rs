//! The fuzz body of `tests/tests/support/domain_xml.rs` under libFuzzer.
#![no_main]

#[path = "../../tests/support/domain_xml.rs"]
mod domain_xml;

libfuzzer_sys::fuzz_target!(|input: &[u8]| domain_xml::one(input));
