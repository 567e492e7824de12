//! However a stream of frames is cut into pieces, the scanner sees the same frames.

use proptest::collection::vec;
use proptest::prelude::*;
use websocket_protocol::{Frame, Invalid, Opcode, Scanner};

/// Under Miri each takes a thousand times longer.
const CASES: u32 = if cfg!(miri) { 4 } else { 256 };
/// Where lengths take another form; Miri would have a minute to do for each message of that.
const LONG: usize = if cfg!(miri) { 300 } else { 65_530 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn any_split_gives_the_frames_that_were_written(
        from_client: bool,
        messages in vec(message(), 0..6),
        cuts in vec(1..40usize, 0..200),
    ) {
        let mut stream = Stream::new(from_client);
        messages.iter().for_each(|message| stream.write(message));

        let mut scanner = Scanner::new(from_client);
        let mut seen = vec![];
        let mut offset = 0;
        for piece in pieces(&stream.bytes, &cuts) {
            scanner.scan(piece, |frame| seen.push(frame)).unwrap();
            offset += piece.len();
            let rest = &stream.bytes[offset..];
            let boundary = stream.boundaries.iter().find(|&&end| end >= offset).unwrap();
            prop_assert_eq!(scanner.at_boundary(), *boundary == offset);
            prop_assert_eq!(scanner.next_boundary(rest), Ok(Some(boundary - offset)));
            if let Some(short) = rest.get(..(boundary - offset).saturating_sub(1)) {
                let near = scanner.next_boundary(short);
                prop_assert_eq!(near, Ok((*boundary == offset).then_some(0)));
            }
        }
        prop_assert_eq!(&seen, &stream.frames);
        prop_assert_eq!(scanner.frames(), stream.frames.len() as u64);
        prop_assert_eq!(scanner.messages(), messages.len() as u64);
    }

    #[test]
    fn any_split_of_any_bytes_gives_the_same(
        from_client: bool,
        bytes in vec(prop_oneof![any::<u8>(), nasty_byte()], 0..300),
        cuts in vec(1..9usize, 0..300),
    ) {
        prop_assert_eq!(scan(from_client, &[&bytes]), scan(from_client, &pieces(&bytes, &cuts)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn admits_all_up_to_the_header_that_exceeds(
        from_client: bool,
        messages in vec(message(), 0..4),
        limit in prop_oneof![0..300u64, 60_000..140_000u64],
        cuts in vec(1..40_000usize, 0..60),
    ) {
        let mut stream = Stream::new(from_client);
        messages.iter().for_each(|message| stream.write(message));
        let too_big = stream.frames.iter().position(|frame| frame.message_length > limit);
        let end = too_big.map_or(stream.bytes.len(), |index| stream.boundaries[index]);

        // As the pump does: what is held back comes again, before the next bytes.
        let mut scanner = Scanner::new(from_client);
        let (mut passed, mut available) = (0, 0);
        let mut exceeded = false;
        for piece in pieces(&stream.bytes, &cuts) {
            available += piece.len();
            let ahead = &stream.bytes[passed..available];
            let admitted = scanner.admit(ahead, limit).unwrap();
            scanner.scan(&ahead[..admitted.bytes], |_| ()).unwrap();
            passed += admitted.bytes;
            exceeded = admitted.exceeded;
            prop_assert!(passed <= end);
            if exceeded {
                break;
            }
            // Held back is never more than an incomplete header.
            prop_assert!(available - passed < 14, "{} held back", available - passed);
            prop_assert!(available == passed || scanner.at_boundary());
        }
        prop_assert_eq!(exceeded, too_big.is_some());
        prop_assert_eq!(passed, end);
        prop_assert_eq!(scanner.frames(), too_big.unwrap_or(stream.frames.len()) as u64);
    }

    #[test]
    fn admits_any_bytes_the_same_however_the_receiver_takes_them(
        from_client: bool,
        bytes in vec(prop_oneof![any::<u8>(), nasty_byte()], 0..300),
        limit in 0..200u64,
        taken in vec(1..9usize, 0..300),
    ) {
        let whole = Scanner::new(from_client).admit(&bytes, limit);
        let mut scanner = Scanner::new(from_client);
        let mut passed = 0;
        for count in taken {
            let Ok(admitted) = scanner.admit(&bytes[passed..], limit) else {
                // Then what comes first is passed on all the same, up to where it breaks.
                prop_assert_eq!(whole, Err(Invalid));
                return Ok(());
            };
            if let Ok(whole) = whole {
                prop_assert_eq!(passed + admitted.bytes, whole.bytes);
                prop_assert_eq!(admitted.exceeded, whole.exceeded);
            }
            let count = count.min(admitted.bytes);
            scanner.scan(&bytes[passed..passed + count], |_| ()).unwrap();
            passed += count;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn messages_that_may_begin_are_those_before_the_first_too_many(
        from_client: bool,
        messages in vec(message(), 0..6),
        most in 0..6u64,
        taken in 0..200usize,
    ) {
        let mut stream = Stream::new(from_client);
        messages.iter().for_each(|message| stream.write(message));
        let is_first = |frame: &Frame| matches!(frame.opcode, Opcode::Text | Opcode::Binary);
        // Where the frames begin that begin a message.
        let starts: Vec<_> = stream.frames.iter().zip(&stream.boundaries)
            .filter_map(|(frame, start)| is_first(frame).then_some(*start))
            .collect();

        let taken = taken.min(stream.bytes.len());
        let mut scanner = Scanner::new(from_client);
        scanner.scan(&stream.bytes[..taken], |_| ()).unwrap();
        let begun = starts.iter().filter(|start| **start < taken).count();
        prop_assert_eq!(scanner.begun(), begun as u64);
        let before = starts.get(begun + most as usize).map(|start| start - taken);
        prop_assert_eq!(scanner.before_message(&stream.bytes[taken..], most), Ok(before));
    }
}

/// A message as fragments, each with control frames before it.
#[derive(Clone, Debug)]
struct Message {
    text: bool,
    fragments: Vec<(Vec<Control>, usize)>,
}

#[derive(Clone, Debug)]
enum Control {
    Ping(usize),
    /// Answers may be masked or not, whoever sends them.
    Pong(usize, bool),
    Close(Option<(u16, usize)>, bool),
}

fn message() -> impl Strategy<Value = Message> {
    let length = prop_oneof![
        4 => 0..10usize,
        2 => 120..130usize,
        1 => LONG..LONG + 10,
    ];
    let fragment = (vec(control(), 0..3), length);
    (any::<bool>(), vec(fragment, 1..4)).prop_map(|(text, fragments)| Message { text, fragments })
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        (0..=125usize).prop_map(Control::Ping),
        (0..=125usize, any::<bool>()).prop_map(|(length, masked)| Control::Pong(length, masked)),
        (
            proptest::option::of((any::<u16>(), 0..=123usize)),
            any::<bool>()
        )
            .prop_map(|(close, masked)| Control::Close(close, masked)),
    ]
}

/// Bytes that begin frames, so that random streams stay valid for a while.
fn nasty_byte() -> impl Strategy<Value = u8> {
    proptest::sample::select(vec![
        0, 1, 2, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A, 0xFE, 0xFF, 126, 127,
    ])
}

/// Writes frames the obvious way and notes what a scanner should see.
struct Stream {
    from_client: bool,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    /// Offsets between frames.
    boundaries: Vec<usize>,
}

impl Stream {
    fn new(from_client: bool) -> Self {
        Self {
            from_client,
            bytes: vec![],
            frames: vec![],
            boundaries: vec![0],
        }
    }

    fn write(&mut self, message: &Message) {
        let mut total = 0;
        for (index, (controls, length)) in message.fragments.iter().enumerate() {
            for control in controls {
                let (opcode, code, length, masked) = match *control {
                    Control::Ping(length) => (Opcode::Ping, None, length, self.from_client),
                    Control::Pong(length, masked) => (Opcode::Pong, None, length, masked),
                    Control::Close(None, masked) => (Opcode::Close, None, 0, masked),
                    Control::Close(Some((code, length)), masked) => {
                        (Opcode::Close, Some(code), length + 2, masked)
                    }
                };
                self.write_frame(opcode, true, length, 0, code, masked);
            }
            total += length;
            let opcode = match (index, message.text) {
                (0, true) => Opcode::Text,
                (0, false) => Opcode::Binary,
                _ => Opcode::Continuation,
            };
            let fin = index + 1 == message.fragments.len();
            self.write_frame(opcode, fin, *length, total, None, self.from_client);
        }
    }

    fn write_frame(
        &mut self,
        opcode: Opcode,
        fin: bool,
        length: usize,
        message_length: usize,
        close_code: Option<u16>,
        masked: bool,
    ) {
        let bits = match opcode {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        };
        self.bytes.push(bits | if fin { 0x80 } else { 0 });
        let mask_bit = if masked { 0x80 } else { 0 };
        match length {
            0..126 => self.bytes.push(mask_bit | length as u8),
            126..65_536 => {
                self.bytes.push(mask_bit | 126);
                self.bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                self.bytes.push(mask_bit | 127);
                self.bytes.extend((length as u64).to_be_bytes());
            }
        }
        let mask = if masked {
            [0xA1, 0x0B, 0xFF, 0x80]
        } else {
            [0; 4]
        };
        if masked {
            self.bytes.extend(mask);
        }
        let mut payload = vec![0x88; length];
        if let Some(code) = close_code {
            payload[..2].copy_from_slice(&code.to_be_bytes());
        }
        self.bytes.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        self.frames.push(Frame {
            opcode,
            fin,
            length: length as u64,
            message_length: message_length as u64,
            close_code,
            mask,
        });
        self.boundaries.push(self.bytes.len());
    }
}

/// Cuts at these distances, and leaves the rest whole.
fn pieces<'a>(mut bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = vec![];
    for &cut in cuts {
        let (piece, rest) = bytes.split_at(cut.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

fn scan(from_client: bool, pieces: &[&[u8]]) -> (Vec<Frame>, Result<bool, Invalid>) {
    let mut scanner = Scanner::new(from_client);
    let mut frames = vec![];
    for piece in pieces {
        if let Err(invalid) = scanner.scan(piece, |frame| frames.push(frame)) {
            return (frames, Err(invalid));
        }
    }
    (frames, Ok(scanner.at_boundary()))
}
