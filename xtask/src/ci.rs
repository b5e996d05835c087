//! `ci`: what must pass before a merge, in the order in which it fails fastest.

use anyhow::Result;
use clap::Args;

use crate::{build::Build, lint::lint, test::Test};

/// Format, lints, build (release), every test.
#[derive(Debug, Args)]
pub(crate) struct Ci {}

impl Ci {
    pub(crate) fn run(&self) -> Result<()> {
        lint()?;
        Build::release().run()?;
        Test::without_lint().run()
    }
}
