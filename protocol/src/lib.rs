//! WebSocket handshake and frame rules (RFC 6455), without I/O.
//!
//! Everything here takes byte slices and gives back values borrowed from them: nothing is copied
//! or allocated, and no input can make it panic. So the same rules serve nginx's module, which
//! hands over slices of nginx's own memory, and any other program that has to judge a handshake.
//!
//! - [`RequestHead`] and [`ResponseHead`] judge the two halves of a handshake.
//! - [`Cause`] names every way in which one fails; [`Refusal`] adds what was seen.
//! - [`Evidence`] chooses the [`Advice`] that goes with a cause.
//! - [`Remark`] shows what a server says in its body.
//! - [`OriginRule`] decides which pages may connect.
//! - [`Scanner`] follows the frames of an established connection, [`ControlFrame`] writes some.
//! - [`http2`] finds those that come over HTTP/2.
//! - [`tunnel::Tunnel`] decides what a proxy does with an established connection.
//!
//! ```
//! use websocket_protocol::{Cause, HttpVersion, RequestHead, RequestHeader, RequestLine};
//!
//! let mut head = RequestHead::new();
//! head.add(RequestHeader::Upgrade, b"websocket");
//! head.add(RequestHeader::Connection, b"keep-alive");
//! assert!(head.is_attempt());
//!
//! let line = RequestLine { method: b"GET", version: HttpVersion::Http11, has_body: false };
//! let refusal = head.check(line).unwrap_err();
//! assert_eq!(refusal.cause, Cause::ConnectionNotUpgrade);
//! assert_eq!(refusal.seen.to_string(), "Connection is \"keep-alive\"");
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_std)]

mod address;
mod advice;
mod cause;
mod chosen;
mod control;
mod counted;
mod escape;
mod extensions;
mod frame;
pub mod handover;
pub mod header;
pub mod http2;
mod http_version;
mod line;
mod lines;
mod names;
mod origin;
mod refusal;
mod remark;
mod request;
mod response;
mod sent;
mod strictness;
mod subprotocols;
pub mod tunnel;
mod wire;

pub use address::Address;
pub use advice::{Advice, Evidence, Finding};
pub use cause::{Cause, Fault, Status};
pub use chosen::Chosen;
pub use control::ControlFrame;
pub use counted::Counted;
pub use escape::{Escaped, Printable};
pub use frame::{Admitted, Frame, Invalid, Opcode, Scanner};
pub use http_version::HttpVersion;
pub use line::RequestLine;
pub use names::{RequestHeader, ResponseHeader};
pub use origin::{Origin, OriginRule, OriginRuleError, RequestAuthority};
pub use refusal::{Refusal, Seen};
pub use remark::{Remark, first_chunk};
pub use request::{RequestHead, Upgrade};
pub use response::{ResponseHead, accept_key};
pub use sent::SentRequest;
pub use strictness::Strictness;
