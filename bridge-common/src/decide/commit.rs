//! Carrying out what a decision entails, and what happens when a table is full after all.

use super::{FlowChange, FlowOp, Learn, LearnOp, Scratch, TablesMut};
use crate::abi::{Drop, FlowedCell, Punt, STATION_ABSENT, Station, StationKey};

/// Applies the station's and the flow's change.
///
/// # Errors
/// `Err(reason)`: the flow could not be opened, the frame must be dropped. `Ok(Some(reason))`: the station could not be
/// added; the frame, which is punted anyway, counts under this reason.
#[inline(always)]
pub fn commit<T: TablesMut>(tables: &T, scratch: &Scratch) -> Result<Option<Punt>, Drop> {
    if scratch.flow.op != FlowOp::Keep {
        let changed = change_flow(tables, &scratch.flow);
        tables.raise_flow_changes();
        changed?;
    }
    Ok(change_station(tables, &scratch.packet.source, &scratch.learn))
}

#[inline(always)]
fn change_station<T: TablesMut>(tables: &T, key: &StationKey, learn: &Learn) -> Option<Punt> {
    match learn.op {
        LearnOp::Keep => {}
        LearnOp::Add => return add_station(tables, key, learn.station),
        LearnOp::Update => update_station(tables, key, learn.station),
        LearnOp::Forget => {
            if tables.remove_station(key) {
                tables.charge(learn.station.port, -1, 0);
                tables.raise_moves();
            }
        }
    }
    None
}

#[inline(always)]
fn add_station<T: TablesMut>(tables: &T, key: &StationKey, station: Station) -> Option<Punt> {
    if tables.add_station(key, station) {
        tables.charge(station.port, 1, 0);
        return None;
    }
    if !tables.station(key).is(STATION_ABSENT) {
        return None; // another CPU was faster
    }
    tables.count_fdb_full();
    Some(Punt::StationLimit)
}

#[inline(always)]
fn update_station<T: TablesMut>(tables: &T, key: &StationKey, station: Station) {
    let old = tables.station(key);
    if old.is(STATION_ABSENT) {
        return; // the manager was faster
    }
    if old.port != station.port {
        tables.charge(old.port, -1, 0);
        tables.charge(station.port, 1, 0);
    }
    tables.update_station(key, station);
    if old.port != station.port {
        tables.raise_moves();
    }
}

#[inline(never)]
fn change_flow<T: TablesMut>(tables: &T, change: &FlowChange) -> Result<(), Drop> {
    match change.op {
        FlowOp::Keep => Ok(()),
        FlowOp::Renew => {
            note(tables, change);
            tables.update_flow(&change.key, change.flow);
            Ok(())
        }
        FlowOp::Close => {
            if tables.remove_flow(&change.key) {
                tables.charge(change.flow.port, 0, -1);
            }
            Ok(())
        }
        FlowOp::Open => {
            note(tables, change);
            if tables.add_flow(&change.key, change.flow) {
                tables.charge(change.flow.port, 0, 1);
                return Ok(());
            }
            // Another CPU may have opened it, or an expired one of another port still lies there.
            match tables.flow(&change.key) {
                Some(old) => {
                    tables.update_flow(&change.key, crate::abi::Flow { port: old.port, ..change.flow });
                    Ok(())
                }
                None => Err(Drop::FlowTableFull),
            }
        }
    }
}

/// First of all: whoever sees no note must not miss the flow.
#[inline(always)]
fn note<T: TablesMut>(tables: &T, change: &FlowChange) {
    if let Some(cell) = FlowedCell::of_flow(&change.key) {
        tables.note_flowed(cell.index, FlowedCell::note(change.flow.seen_ns));
    }
}
