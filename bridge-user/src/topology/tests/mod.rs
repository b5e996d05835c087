//! Tests of the topology file: what it means, every mistake at its place, no input that panics.
#![allow(clippy::unwrap_used)]

mod errors;
mod fuzz;
mod meaning;
mod warnings;

/// The policy of design section 5.
const REFERENCE: &str = include_str!("../../../../tests/fixtures/reference.toml");

/// A file that needs nothing more.
const BRIDGE: &str = "[bridge]\nname = 'br0'\nmanage = ['vnet*', 'eno1']\n";

/// Takes the `§` out of a case and says where it stood: (text, [(line, column)]), in the file's order.
fn unmark(case: &str) -> (String, Vec<(usize, usize)>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    for (index, line) in case.split('\n').enumerate() {
        let mut parts = line.split('§');
        let mut plain = parts.next().unwrap().to_owned();
        for part in parts {
            places.push((index + 1, plain.chars().count() + 1));
            plain.push_str(part);
        }
        text.push_str(if index == 0 { "" } else { "\n" });
        text.push_str(&plain);
    }
    (text, places)
}
