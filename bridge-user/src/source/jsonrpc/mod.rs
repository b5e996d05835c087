//! JSON-RPC 1.0 as Open vSwitch's daemons speak it over a stream: messages cut from bytes, and read as far as needed. Bounded; reads no socket.
//!
//! A message stays text until somebody asks for a part of it: a value in memory takes up to thirty times its text, and what a
//! stranger sends must not decide how much that is.

mod framing;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use framing::Framer;

/// Members that one object may have: rows of a table.
pub(crate) const MAX_MEMBERS: usize = 65_536;
/// Bytes of somebody else's text that an error repeats.
const REPEATED: usize = 200;

/// Why a peer cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum JsonRpcError {
    /// Not JSON, or not JSON-RPC.
    #[error("it cannot be read: {0}")]
    Garbage(String),
    /// More than we are ready to hold.
    #[error("it is more than {0}")]
    TooMuch(&'static str),
}

/// A request, a notification or an answer. All texts are JSON.
#[derive(serde::Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default)]
    pub(crate) method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) params: Option<&'a RawValue>,
    /// Of an answer; `null` is `None`.
    #[serde(borrow, default)]
    pub(crate) result: Option<&'a RawValue>,
    /// Of an answer; `null` is `None`.
    #[serde(borrow, default)]
    pub(crate) error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
}

/// Members of an object in their order, at most [`MAX_MEMBERS`].
pub(crate) struct Members<'a, T>(pub(crate) Vec<(Cow<'a, str>, T)>);

/// Reads a part of a message.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonRpcError> {
    serde_json::from_str(text).map_err(|error| JsonRpcError::Garbage(error.to_string()))
}

/// Reads a message that [`Framer`] has cut out.
pub(crate) fn message(bytes: &[u8]) -> Result<Message<'_>, JsonRpcError> {
    serde_json::from_slice(bytes).map_err(|error| JsonRpcError::Garbage(error.to_string()))
}

/// A stranger's text, short enough for a log and without control characters.
pub(crate) fn repeat(text: &str) -> String {
    let mut said: String = text.chars().take(REPEATED).flat_map(char::escape_debug).collect();
    if text.chars().nth(REPEATED).is_some() {
        said.push_str("...");
    }
    said
}

impl<'de: 'a, 'a, T: Deserialize<'de> + 'a> Deserialize<'de> for Members<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object(PhantomData)).map(Members)
    }
}

struct Object<'a, T>(PhantomData<&'a T>);

/// A name, borrowed where JSON has no escape in it.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a, T: Deserialize<'de> + 'a> Visitor<'de> for Object<'a, T> {
    type Value = Vec<(Cow<'a, str>, T)>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            if members.len() == MAX_MEMBERS {
                return Err(A::Error::custom("an object of more than 65536 members"));
            }
            members.push((name, value));
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_and_a_notification() {
        let answer = message(br#"{"id":7,"result":{"a":[1]},"error":null}"#).unwrap();
        assert!(answer.method.is_none() && answer.error.is_none());
        assert_eq!((answer.id.unwrap().get(), answer.result.unwrap().get()), ("7", r#"{"a":[1]}"#));
        let update = message(br#"{"method":"up\u0064ate2","params":[null,{}],"id":null,"more":1}"#).unwrap();
        assert_eq!((update.method.as_deref(), update.params.unwrap().get()), (Some("update2"), "[null,{}]"));
    }

    #[test]
    fn members_are_counted() {
        let object =
            |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"{n}\":0,")).collect::<String>() + "\"x\":1");
        assert_eq!(read::<Members<'_, u8>>(&object(7)).unwrap().0.len(), 8);
        assert!(read::<Members<'_, u8>>(&object(MAX_MEMBERS - 1)).is_ok());
        assert!(read::<Members<'_, u8>>(&object(MAX_MEMBERS)).err().unwrap().to_string().contains("65536 members"));
        for text in ["[]", "null", "7", r#"{"a":"#, r#"{"a":300}"#] {
            assert!(read::<Members<'_, u8>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_repeated_is_short_and_harmless() {
        assert_eq!(repeat("a\n\u{1b}[2J\u{e9}"), "a\\n\\u{1b}[2J\u{e9}");
        assert_eq!(repeat(&"x".repeat(1000)).len(), REPEATED + 3);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".*") {
            let _ = (message(&bytes), read::<Members<'_, u8>>(&text), repeat(&text));
        }
    }
}
