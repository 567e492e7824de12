//! A message of a tunnel that is handed over, against whatever bytes there may be: what is read is written as it
//! was, and a tunnel that goes on from it does not come to harm.

#![no_main]

use libfuzzer_sys::fuzz_target;
use websocket_protocol::handover::{MAGIC, Message, VERSION};
use websocket_protocol::tunnel::{Bounds, Guard, Limits, Next, Side, Tunnel, Write};

fuzz_target!(|bytes: &[u8]| {
    look(bytes);
    // The same with a right beginning: nobody comes upon its length by chance.
    let mut whole = [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4], bytes].concat();
    let length = whole.len() as u32;
    whole[6..10].copy_from_slice(&length.to_le_bytes());
    look(&whole);
});

fn look(bytes: &[u8]) {
    let Ok(message) = Message::read(bytes) else {
        return;
    };
    let mut written = vec![0; message.room()];
    let length = message.write(&mut written).expect("room() is enough");
    assert_eq!(&written[..length], bytes);

    let bounds = Bounds {
        rate: core::num::NonZeroU64::new(1000),
        ..Bounds::default()
    };
    let mut guard = Guard::new(bounds, 0).expect("there is a bound");
    let mut tunnel = Tunnel::new(Limits::default(), 0, 0, [0; 4]);
    tunnel.hold_to(&mut guard);
    let unsent = (message.from_client.len(), message.from_upstream.len());
    if !tunnel.resume(message.tunnel, unsent, 1000) {
        return;
    }
    for (side, mut bytes) in [
        (Side::Client, message.from_client),
        (Side::Upstream, message.from_upstream),
    ] {
        for _ in 0..100 {
            let count = match tunnel.next_write(side, bytes, || 1000) {
                Write::Nothing => break,
                Write::Theirs(count) => {
                    let _ = tunnel.sent(side, &bytes[..count], 1000);
                    count
                }
                Write::Drop(count) => {
                    tunnel.dropped(side, &bytes[..count], 1000);
                    count
                }
                Write::Ours => {
                    let count = tunnel.ours(side, None).len();
                    tunnel.sent_ours(side, count, 1000);
                    0
                }
            };
            bytes = &bytes[count..];
        }
    }
    tunnel.tick(2000, [1; 4]);
    for _ in 0..10 {
        if tunnel.next(2000) == Next::End {
            break;
        }
    }
    let _ = tunnel.timeout(2000);
}
