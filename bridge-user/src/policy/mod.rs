//! Lowering: zones and rules in, the tables of `bridge_common::abi::policy` out. Pure.

pub mod lowered;
