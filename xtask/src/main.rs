//! `cargo xtask`: everything a developer or an operator does with this repository, one verb per file.
//!
//! Must not: hold logic of the product. Each verb says what it does before it does it, and fails with a sentence.

mod build;
mod ci;
mod install;
mod lint;
mod process;
mod setup;
mod test;

use anyhow::Result;
use clap::Parser;

/// Build, test and install fastbridge.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Verb {
    Setup(setup::Setup),
    Build(build::Build),
    Test(test::Test),
    Ci(ci::Ci),
    Install(install::Install),
}

fn main() -> Result<()> {
    match Verb::parse() {
        Verb::Setup(verb) => verb.run(),
        Verb::Build(verb) => verb.run(),
        Verb::Test(verb) => verb.run(),
        Verb::Ci(verb) => verb.run(),
        Verb::Install(verb) => verb.run(),
    }
}
