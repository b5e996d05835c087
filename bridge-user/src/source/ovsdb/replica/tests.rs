#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::cell::any_json;
use super::*;

fn apply(replica: &mut Replica, updates: Value) -> Result<(), OvsdbError> {
    replica.apply(&updates.to_string())
}

fn interface<'a>(replica: &'a Replica, row: &str) -> Option<&'a Interface> {
    replica.interfaces.get(&Uuid(row.into()))
}

#[test]
fn rows_come_change_and_go() {
    let mut replica = Replica::default();
    // What is left out has its column's default value.
    apply(
        &mut replica,
        json!({"Interface": {"a": {"initial": {"name": "v0", "ifindex": 7, "bfd": ["map", [["x", "y"]]]}}}}),
    )
    .unwrap();
    let v0 = interface(&replica, "a").unwrap();
    assert_eq!((v0.name.as_str(), v0.kind.as_str(), v0.ifindex, v0.ofport), ("v0", "", Some(7), None));
    apply(
        &mut replica,
        json!({"Interface": {"a": {"modify": {"ofport": 3, "bfd": ["map", [["x", "y"], ["z", "1"]]]}}}}),
    )
    .unwrap();
    let v0 = interface(&replica, "a").unwrap();
    assert_eq!((v0.ifindex, v0.ofport, v0.bfd.len(), v0.bfd["z"].as_str()), (Some(7), Some(3), 1, "1"));
    // A row inserted again holds nothing of the one before.
    apply(&mut replica, json!({"Interface": {"a": {"insert": {"name": "v1"}}}})).unwrap();
    assert_eq!(interface(&replica, "a").unwrap().ofport, None);
    apply(&mut replica, json!({"Interface": {"a": {"delete": null}}, "Other": 7})).unwrap();
    assert!(interface(&replica, "a").is_none());
    assert_eq!(replica.interfaces.weight, 0, "nothing of it is counted any more");
}

#[test]
fn what_is_no_update_of_a_row_is_an_error_that_names_it() {
    for bad in [
        json!({}),
        json!({"insert": {}, "delete": null}),
        json!({"insert": null}),
        json!({"insert": []}),
        json!({"new": {}}),
        json!({"modify": {}}),
        json!({"insert": {"name": 1}}),
        json!({"insert": {"type": null}}),
        json!({"insert": {"ifindex": "7"}}),
        json!({"insert": {"ofport": ["set", [1, 2]]}}),
        json!({"insert": {"ingress_policing_rate": true}}),
        json!({"insert": {"bfd": ["set", []]}}),
    ] {
        let error = apply(&mut Replica::default(), json!({"Interface": {"b": bad}})).unwrap_err();
        assert!(matches!(&error, OvsdbError::Row { row, .. } if row == "b"), "{bad}: {error}");
    }
    for bad in [json!(null), json!([]), json!({"Interface": 1}), json!({"Interface": {"a": null}})] {
        assert!(apply(&mut Replica::default(), bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn rows_and_their_bytes_are_bounded() {
    let rows = |count: usize| (0..count).map(|n| (n.to_string(), json!({"insert": {}}))).collect::<Map<_, _>>();
    let mut replica = Replica::default();
    apply(&mut replica, json!({"Interface": rows(MAX_MEMBERS)})).unwrap();
    let more = apply(&mut replica, json!({"Interface": {"one more": {"insert": {}}}}));
    assert!(matches!(more, Err(OvsdbError::TooMuch(_))), "{more:?}");

    let long = |bytes: usize| json!({"name": "x".repeat(bytes)});
    let one = apply(&mut Replica::default(), json!({"Interface": {"a": {"insert": long(MAX_ROW)}}}));
    assert!(matches!(one, Err(OvsdbError::TooMuch(_))), "{one:?}");
    // Many small modifications must not get past what one big row may not.
    let mut replica = Replica::default();
    let mut outcome = Ok(());
    for row in 0..=MAX_WEIGHT / (MAX_ROW / 2) {
        outcome = outcome.and_then(|()| apply(&mut replica, json!({"Interface": {row.to_string(): {"insert": {}}}})));
        outcome = outcome
            .and_then(|()| apply(&mut replica, json!({"Interface": {row.to_string(): {"modify": long(MAX_ROW / 2)}}})));
    }
    assert!(matches!(outcome, Err(OvsdbError::TooMuch(_))), "{outcome:?}");
}

#[test]
fn columns_are_asked_for_as_far_as_the_schema_has_them() {
    let schema = |optional: bool| {
        let mut replica = Replica::default();
        let tables: Map<_, _> = replica
            .tables()
            .map(|table| {
                let (mut columns, more) = table.columns();
                columns.extend(more.iter().filter(|_| optional));
                let columns: Map<_, _> = columns.into_iter().map(|column| (column.into(), json!({}))).collect();
                (table.name().into(), json!({"columns": columns, "isRoot": false}))
            })
            .into_iter()
            .collect();
        json!({"tables": tables, "name": "Open_vSwitch"})
    };
    let ask = |schema: &Value| Replica::default().monitor_request(&schema.to_string());
    let asked = |optional| ask(&schema(optional)).unwrap()["Port"][0]["columns"].as_array().unwrap().len();
    assert_eq!((asked(true), asked(false)), (8, 7));
    let mut poor = schema(true);
    poor["tables"]["Bridge"]["columns"].as_object_mut().unwrap().remove("mirrors");
    assert!(ask(&poor).unwrap_err().to_string().contains("column mirrors in table Bridge"));
    poor["tables"].as_object_mut().unwrap().remove("Bridge");
    assert!(ask(&poor).unwrap_err().to_string().contains("table Bridge"));
    assert!(ask(&Value::Null).is_err());
}

proptest! {
    #[test]
    fn no_update_panics(row in any_json(), table in prop_oneof![Just("Bridge"), Just("Port"), Just("Interface"), Just("Open_vSwitch")]) {
        for updates in [
            row.clone(), json!({table: row}), json!({table: {"a": row}}), json!({table: {"a": {"insert": row}}}),
        ] {
            let _ = apply(&mut Replica::default(), updates);
        }
    }
}
