//! The file as TOML gives it: every key known, every value with its place, nothing judged yet.
//!
//! Keys that must be there are optional here too, so that `check` can name all that are missing.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use toml::{Spanned, Value};

/// A value with its place, if it was given.
pub(super) type Given<T> = Option<Spanned<T>>;
/// Tables of one `[[name]]`, each with the place of its header.
pub(super) type Tables<T> = Vec<Spanned<Table<T>>>;

/// A TOML table. Serde's derived structs would also take an array, field by field.
#[derive(Debug, Default)]
pub(super) struct Table<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMaps<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMaps<T> {
            type Value = Table<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Table)
            }
        }
        deserializer.deserialize_map(OnlyMaps(PhantomData))
    }
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name { $(pub(super) $field: $kind,)* }
    )*};
}

tables! {
    /// The whole file.
    File {
        bridge: Given<Table<Bridge>>,
        port: Tables<Port>,
        station: Tables<Station>,
        limits: Table<Limits>,
        metrics: Table<Metrics>,
        libvirt: Given<Table<Libvirt>>,
        policy: Table<Policy>,
    }
    /// `[bridge]`
    Bridge {
        name: Given<String>,
        slow_path: Given<String>,
        learning: Option<bool>,
        ageing_time: Given<i64>,
        manage: Given<Vec<Spanned<String>>>,
        on_exit: Given<String>,
    }
    /// `[[port]]`; `match` is a word of Rust's.
    Port {
        r#match: Given<String>,
        hook: Given<String>,
        role: Given<String>,
        guard: Given<bool>,
        unpoliced: Option<bool>,
        vlan: Given<Table<Vlan>>,
    }
    /// `[[port]] vlan`
    Vlan {
        mode: Given<String>,
        tag: Given<i64>,
        trunks: Given<Vec<Spanned<Value>>>,
        native: Given<i64>,
    }
    /// `[[station]]`
    Station {
        name: Given<String>,
        mac: Given<String>,
        ip: Vec<Spanned<String>>,
        port: Given<String>,
    }
    /// `[limits]`
    Limits {
        stations: Given<i64>,
        stations_per_port: Given<i64>,
        ports: Given<i64>,
        flows: Given<i64>,
        prefixes: Given<i64>,
        zones: Given<i64>,
        rules: Given<i64>,
    }
    /// `[metrics]`
    Metrics {
        listen: Given<String>,
    }
    /// `[libvirt]`
    Libvirt {
        uri: Given<String>,
        guest_agent: Option<bool>,
    }
    /// `[policy]`
    Policy {
        default: Given<String>,
        other_ethertypes: Given<String>,
        zone: Tables<Zone>,
        rule: Tables<Rule>,
    }
    /// `[[policy.zone]]`
    Zone {
        name: Given<String>,
        prefixes: Given<Vec<Spanned<String>>>,
    }
    /// `[[policy.rule]]`
    Rule {
        id: Given<String>,
        from: Given<String>,
        to: Given<String>,
        both: Option<bool>,
        stateful: Given<bool>,
        action: Given<String>,
        proto: Given<Value>,
        ports: Given<Vec<Spanned<String>>>,
    }
}

/// What toml or serde says, in the file's words and on one line.
pub(super) fn sentence(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.starts_with("unknown field") {
        let line = line.replacen("unknown field", "unknown key", 1);
        return line.replacen(", expected ", "; known here: ", 1).replacen("here: one of ", "here: ", 1);
    }
    line.replacen("invalid type: sequence", "invalid type: array", 1)
        .replacen("invalid type: map", "invalid type: table", 1)
        .replacen("expected a sequence", "expected an array", 1)
}
