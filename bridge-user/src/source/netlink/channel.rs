//! Requests and whole answers on one netlink socket. Must never hand out part of a dump.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use futures::channel::mpsc::UnboundedReceiver;
use futures::{Stream, StreamExt as _};
use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REQUEST, NetlinkBuffer,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, Parseable as _,
};
use netlink_sys::{AsyncSocket as _, SocketAddr, TokioSocket};
use rtnetlink::proto::{Connection, ConnectionHandle, NetlinkCodec, NetlinkMessageCodec, from_socket_with_codec};
use tokio::task::JoinHandle;

use super::{LOOKS, NetlinkError};

const ANSWER_S: u64 = 5;
/// rmem for events: some 10,000 link messages; the kernel allows it with CAP_NET_ADMIN, else as much as `rmem_max`.
const RECEIVE_BUFFER: usize = 16 << 20;

/// Messages that nobody asked for.
pub(super) type Unsolicited<T> = UnboundedReceiver<(NetlinkMessage<T>, SocketAddr)>;

/// What a netlink message type must be for a channel of it.
pub(super) trait Payload:
    NetlinkSerializable + NetlinkDeserializable + Debug + Clone + Unpin + Send + 'static
{
}
impl<T: NetlinkSerializable + NetlinkDeserializable + Debug + Clone + Unpin + Send + 'static> Payload for T {}

/// The task that moves one socket's messages; it ends with this.
pub(super) struct Pump(JoinHandle<()>);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A socket for requests.
pub(super) struct Channel<T: Debug> {
    handle: ConnectionHandle<T>,
    _pump: Pump,
}

impl<T: Payload> Channel<T> {
    /// Opens a socket of this netlink protocol.
    pub(super) fn open(protocol: isize) -> Result<Self, NetlinkError> {
        let (pump, handle, _) = start(TokioSocket::new(protocol)?);
        Ok(Self { handle, _pump: pump })
    }

    /// Everything the kernel has of this kind. Interrupted dumps are repeated.
    pub(super) async fn dump(&self, request: T) -> Result<Vec<T>, NetlinkError> {
        for look in 0..LOOKS {
            match self.exchange(&request, NLM_F_REQUEST | NLM_F_DUMP).await {
                Ok(Some(rows)) => return Ok(rows),
                Ok(None) => {}
                // An abandoned dump of ours is still running on this socket (af_netlink.c __netlink_dump_start).
                Err(NetlinkError::Refused(e)) if e.raw_os_error() == Some(libc::EBUSY) => {}
                Err(e) => return Err(e),
            }
            // Rarer and rarer, so that a host where something is always coming and going has a quiet moment; 1 s in all.
            tokio::time::sleep(Duration::from_millis(5 << look.min(5))).await;
        }
        Err(NetlinkError::NeverConsistent)
    }

    /// A change, acknowledged.
    pub(super) async fn change(&self, request: T) -> Result<(), NetlinkError> {
        self.ask(request).await.map(|_| ())
    }

    /// A question of which the answer is no dump: what comes before the acknowledgement.
    pub(super) async fn ask(&self, request: T) -> Result<Vec<T>, NetlinkError> {
        Ok(self.exchange(&request, NLM_F_REQUEST | NLM_F_ACK).await?.unwrap_or_default())
    }

    async fn exchange(&self, request: &T, flags: u16) -> Result<Option<Vec<T>>, NetlinkError> {
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(request.clone()));
        message.header.flags = flags;
        let answer = self.handle.request(message, SocketAddr::new(0, 0)).map_err(|_| NetlinkError::Closed)?;
        tokio::time::timeout(Duration::from_secs(ANSWER_S), collect(answer))
            .await
            .unwrap_or(Err(NetlinkError::Timeout(ANSWER_S)))
    }
}

/// A socket of this protocol that listens to multicast groups (numbers as in `RTNLGRP_*`, from 1).
pub(super) fn listen<T: Payload>(protocol: isize, groups: &[u32]) -> Result<(Pump, Unsolicited<T>), NetlinkError> {
    let mut socket = TokioSocket::new(protocol)?;
    let inner = socket.socket_mut();
    if nix::sys::socket::setsockopt(inner, nix::sys::socket::sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        inner.set_rx_buf_sz(RECEIVE_BUFFER as libc::c_int)?;
    }
    inner.bind(&SocketAddr::new(0, 0))?;
    for &group in groups {
        inner.add_membership(group)?;
    }
    let (pump, _, unsolicited) = start(socket);
    Ok((pump, unsolicited))
}

fn start<T: Payload>(socket: TokioSocket) -> (Pump, ConnectionHandle<T>, Unsolicited<T>) {
    let (mut connection, handle, unsolicited): (Connection<T, TokioSocket, Strict>, _, _) =
        from_socket_with_codec(socket);
    // Without these an answer that broke off looks like one that ended.
    connection.set_forward_done(true);
    connection.set_forward_ack(true);
    (Pump(tokio::spawn(connection)), handle, unsolicited)
}

/// The whole answer up to its end mark; `None` if the kernel says that it is inconsistent (NLM_F_DUMP_INTR).
async fn collect<T>(answer: impl Stream<Item = NetlinkMessage<T>>) -> Result<Option<Vec<T>>, NetlinkError> {
    let mut answer = std::pin::pin!(answer);
    let (mut rows, mut interrupted) = (Vec::new(), false);
    while let Some(message) = answer.next().await {
        interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        let code = match message.payload {
            NetlinkPayload::InnerMessage(row) => {
                rows.push(row);
                continue;
            }
            NetlinkPayload::Noop => continue,
            NetlinkPayload::Done(done) => done.code,
            NetlinkPayload::Error(ErrorMessage { code, .. }) => code.map_or(0, |code| code.get()),
            NetlinkPayload::Overrun(why) => {
                return Err(NetlinkError::Unreadable(String::from_utf8_lossy(&why).into_owned()));
            }
            _ => return Err(NetlinkError::Unreadable("a control message of an unknown type".into())),
        };
        return match code {
            0 if interrupted => Ok(None),
            0 => Ok(Some(rows)),
            code => Err(NetlinkError::Refused(io::Error::from_raw_os_error(code.wrapping_neg()))),
        };
    }
    Err(NetlinkError::Closed)
}

/// netlink-proto's codec, with three differences. A message which cannot be parsed becomes an overrun (something was lost, here is why) that
/// keeps its sequence number. A datagram which cannot be split ends the connection. And every row is marked as one of many: the netdev family
/// leaves the mark out of its dumps, which netlink-proto would take for complete after one row; ours all end by an end mark or an
/// acknowledgement.
struct Strict;

impl NetlinkMessageCodec for Strict {
    fn decode<T: NetlinkDeserializable + Debug>(src: &mut BytesMut) -> io::Result<Option<NetlinkMessage<T>>> {
        if src.is_empty() {
            return Ok(None);
        }
        let (len, header) = {
            let buffer = NetlinkBuffer::new_checked(src.as_ref()).map_err(io::Error::other)?;
            (buffer.length() as usize, NetlinkHeader::parse(&buffer).map_err(io::Error::other)?)
        };
        let bytes = src.split_to(len.next_multiple_of(4).min(src.len()));
        let mut message = NetlinkMessage::deserialize(&bytes[..len])
            .unwrap_or_else(|e| NetlinkMessage::new(header, NetlinkPayload::Overrun(e.to_string().into_bytes())));
        if let NetlinkPayload::InnerMessage(_) = message.payload {
            message.header.flags |= NLM_F_MULTIPART;
        }
        Ok(Some(message))
    }

    fn encode<T: NetlinkSerializable + Debug>(message: NetlinkMessage<T>, buffer: &mut BytesMut) -> io::Result<()> {
        NetlinkCodec::encode(message, buffer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::num::NonZeroI32;

    use futures::stream;
    use netlink_packet_core::DoneMessage;
    use netlink_packet_route::RouteNetlinkMessage;

    use super::*;

    fn message(flags: u16, payload: NetlinkPayload<u8>) -> NetlinkMessage<u8> {
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        NetlinkMessage::new(header, payload)
    }

    fn done(code: i32) -> NetlinkPayload<u8> {
        NetlinkPayload::Done({
            let mut done = DoneMessage::default();
            done.code = code;
            done
        })
    }

    async fn outcome(messages: Vec<NetlinkMessage<u8>>) -> Result<Option<Vec<u8>>, NetlinkError> {
        collect(stream::iter(messages)).await
    }

    #[tokio::test]
    async fn only_a_whole_dump_is_used() {
        let row = |flags, n| message(flags, NetlinkPayload::InnerMessage(n));
        assert_eq!(outcome(vec![row(0, 1), row(0, 2), message(0, done(0))]).await.unwrap(), Some(vec![1, 2]));
        assert!(matches!(outcome(vec![row(0, 1)]).await, Err(NetlinkError::Closed)), "no end mark");
        assert!(matches!(outcome(vec![]).await, Err(NetlinkError::Closed)));
        let denied = outcome(vec![row(0, 1), message(0, done(-libc::EPERM))]).await;
        assert!(matches!(denied, Err(NetlinkError::Refused(e)) if e.raw_os_error() == Some(libc::EPERM)));
        let lost =
            outcome(vec![row(0, 1), message(0, NetlinkPayload::Overrun(b"short".into())), message(0, done(0))]).await;
        assert!(matches!(lost, Err(NetlinkError::Unreadable(why)) if why == "short"));
    }

    #[tokio::test]
    async fn an_interrupted_dump_is_not_used_wherever_the_flag_is() {
        let row = message(NLM_F_DUMP_INTR, NetlinkPayload::InnerMessage(1));
        assert_eq!(outcome(vec![row, message(0, done(0))]).await.unwrap(), None);
        let row = message(0, NetlinkPayload::InnerMessage(1));
        assert_eq!(outcome(vec![row, message(NLM_F_DUMP_INTR, done(0))]).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_acknowledgement_is_success_and_its_code_an_error() {
        let mut nack = ErrorMessage::default();
        assert_eq!(outcome(vec![message(0, NetlinkPayload::Error(nack.clone()))]).await.unwrap(), Some(vec![]));
        nack.code = NonZeroI32::new(-libc::ENODEV);
        let refused = outcome(vec![message(0, NetlinkPayload::Error(nack))]).await;
        assert!(matches!(refused, Err(NetlinkError::Refused(e)) if e.raw_os_error() == Some(libc::ENODEV)));
    }

    /// RTM_NEWLINK with sequence number 7 and this payload.
    fn datagram(payload: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&(16 + payload.len() as u32).to_ne_bytes());
        bytes.extend_from_slice(&[16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn what_cannot_be_parsed_is_not_dropped() {
        let mut bytes = datagram(&[0; 5]);
        let parsed = Strict::decode::<RouteNetlinkMessage>(&mut bytes).unwrap().unwrap();
        assert_eq!(parsed.header.sequence_number, 7);
        assert!(matches!(parsed.payload, NetlinkPayload::Overrun(_)));
        let mut truncated = datagram(&[0; 16]);
        truncated.truncate(20);
        assert!(Strict::decode::<RouteNetlinkMessage>(&mut truncated).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_datagram_panics_or_loops(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), whole in proptest::bool::ANY) {
            let mut src = if whole { datagram(&bytes) } else { BytesMut::from(&bytes[..]) };
            for _ in 0..100 {
                match Strict::decode::<RouteNetlinkMessage>(&mut src) {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return Ok(()),
                }
            }
            proptest::prop_assert!(false, "endless");
        }
    }
}
