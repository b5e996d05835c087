//! `show`: opens the pins, hands what they hold to the renderer, prints.

use std::{io::Write as _, path::Path};

use serde::Serialize;

use super::{Failure, What, render};
use crate::{clock::monotonic_ns, dataplane::pins::pinned_bridges, metrics::Snapshot, telemetry::Reader};

/// Shows one thing of one bridge.
pub(super) fn show(dir: &Path, bridge: Option<String>, what: What, json: bool) -> Result<(), Failure> {
    let reader = Reader::open(dir, &which(dir, bridge)?)?;
    let text = match what {
        What::Fdb => fdb(&reader, json)?,
        What::Flows => flows(&reader, json)?,
        What::Policy => policy(&reader, &reader.snapshot()?, json)?,
        What::Ports => {
            let snapshot = reader.snapshot()?;
            if json { to_json(&render::ports_json(&snapshot))? } else { render::ports_table(&snapshot) }
        }
        What::Counters => {
            let snapshot = reader.snapshot()?;
            if json { to_json(&render::counters_json(&snapshot))? } else { render::counters_table(&snapshot) }
        }
        What::Status => {
            let snapshot = reader.snapshot()?;
            let status = render::status::status(&snapshot);
            if json { to_json(&status)? } else { status.text() }
        }
    };
    // A closed pipe (`| head`) is the reader's choice, no error of ours.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    Ok(())
}

fn which(dir: &Path, bridge: Option<String>) -> Result<String, Failure> {
    if let Some(bridge) = bridge {
        return Ok(bridge);
    }
    let mut pinned = pinned_bridges(dir);
    match pinned.len() {
        0 => Err(Failure {
            code: 1,
            message: format!("nothing is pinned under {}: fastbridge does not run", dir.display()),
        }),
        1 => Ok(pinned.remove(0)),
        _ => {
            Err(Failure::input(format!("several bridges are pinned: say which with --bridge ({})", pinned.join(", "))))
        }
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<String, Failure> {
    render::json(value).map_err(|error| Failure { code: 1, message: error.to_string() })
}

fn fdb(reader: &Reader, json: bool) -> Result<String, Failure> {
    let now = monotonic_ns();
    let rows: Vec<_> = reader
        .stations()?
        .iter()
        .map(|(key, station)| {
            let row = render::rows::StationRow::new(key, station, now, reader.port_name(station.port), None);
            let name = reader.notes.stations.get(&row.mac).cloned();
            render::rows::StationRow { name, ..row }
        })
        .collect();
    if json { to_json(&rows) } else { Ok(render::rows::fdb_table(&rows)) }
}

fn flows(reader: &Reader, json: bool) -> Result<String, Failure> {
    let now = monotonic_ns();
    let rows: Vec<_> = reader
        .flows()?
        .iter()
        .filter(|(key, flow)| flow.is_live(key.proto, now))
        .map(|(key, flow)| {
            let port = reader.port_name(flow.port).unwrap_or("-");
            render::rows::FlowRow::new(key, flow, now, reader.rule_id(flow.rule), port)
        })
        .collect();
    if json { to_json(&rows) } else { Ok(render::rows::flows_table(&rows)) }
}

fn policy(reader: &Reader, snapshot: &Snapshot, json: bool) -> Result<String, Failure> {
    let Some(policy) = &reader.notes.policy else {
        return Err(Failure { code: 1, message: "no manager has noted its policy yet".into() });
    };
    let view = render::policy::PolicyView::new(policy, snapshot.generation, &snapshot.rules);
    if json { to_json(&view) } else { Ok(view.text()) }
}
