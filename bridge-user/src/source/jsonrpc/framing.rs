//! Cuts a byte stream into JSON objects, which follow each other without any delimiter (RFC 7047, 4). Bounded; does not validate.

use bytes::BytesMut;

use super::JsonRpcError;

/// No message may be longer, in bytes. A database of 10,000 ports takes a third of it.
const MAX_MESSAGE: usize = 16 << 20;

/// What was read and not yet handed out, and how far it was looked at.
#[derive(Default)]
pub(crate) struct Framer {
    /// Read into this.
    pub(crate) buffer: BytesMut,
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Framer {
    /// The next whole object; `None`: read more.
    pub(crate) fn next(&mut self) -> Result<Option<BytesMut>, JsonRpcError> {
        while let Some(&byte) = self.buffer.get(self.scanned) {
            if self.depth == 0 && byte != b'{' {
                if !byte.is_ascii_whitespace() {
                    return Err(JsonRpcError::Garbage(format!("a message starts with byte {byte:#04x}")));
                }
                let _ = self.buffer.split_to(1);
                continue;
            }
            self.scanned += 1;
            if self.take(byte) {
                let message = self.buffer.split_to(std::mem::take(&mut self.scanned));
                return Ok(Some(message));
            }
            if self.scanned >= MAX_MESSAGE {
                return Err(JsonRpcError::TooMuch("16 MiB in one message"));
            }
        }
        Ok(None)
    }

    /// Whether this byte ends the object.
    fn take(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn framer(bytes: &[u8]) -> Framer {
        Framer { buffer: BytesMut::from(bytes), ..Framer::default() }
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        let mut framer = framer(br#" {"a":"}]\"{\\"} {"b":[{}]}{"c"#);
        assert_eq!(&framer.next().unwrap().unwrap()[..], br#"{"a":"}]\"{\\"}"#);
        assert_eq!(&framer.next().unwrap().unwrap()[..], br#"{"b":[{}]}"#);
        assert!(framer.next().unwrap().is_none());
        framer.buffer.extend_from_slice(br#"":1}"#);
        assert_eq!(&framer.next().unwrap().unwrap()[..], br#"{"c":1}"#);
    }

    #[test]
    fn garbage_and_endless_messages_are_errors() {
        for bytes in [&b"]"[..], b"null", b"\xff", b"}", b"[]", b"\0"] {
            assert!(framer(bytes).next().is_err(), "{bytes:?}");
        }
        let mut endless = vec![b'['; MAX_MESSAGE];
        endless[0] = b'{';
        assert!(matches!(framer(&endless).next(), Err(JsonRpcError::TooMuch(_))));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(cuts in prop::collection::vec(1_usize..9, 1..40)) {
            let text = br#"{"x":["\\",{"y":"}"}]} {"z":null}"#;
            let (mut framer, mut rest, mut found) = (Framer::default(), &text[..], 0);
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                framer.buffer.extend_from_slice(now);
                rest = later;
                while framer.next().unwrap().is_some() {
                    found += 1;
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, 2);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut framer = framer(&bytes);
            while let Ok(Some(_)) = framer.next() {}
        }
    }
}
