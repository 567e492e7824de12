//! A client's connection read by someone who has all of it: whose each byte is.

use websocket_protocol::http2::{Cut, Cutter, FrameHeader, Kind};

/// Whose a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The server's.
    Theirs,
    /// Of a whole block, which may be looked at.
    Block,
    /// Of a DATA frame of this stream, which is a tunnel's.
    Data(u32),
    /// More has to come.
    Open,
}

/// A DATA frame of a tunnel, as far as it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    pub stream: u32,
    pub payload: Vec<u8>,
    pub padding: usize,
    pub is_last: bool,
}

/// What is found in a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub bytes: Vec<Whose>,
    pub data: Vec<Data>,
    /// Blocks that may ask for a tunnel.
    pub blocks: Vec<(u32, Vec<u8>)>,
}

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// RFC 9113 section 4 and 6, read aloud.
pub fn read(stream: &[u8], limit: usize, is_ours: impl Fn(u32) -> bool) -> Found {
    let mut found = Found::default();
    let common = PREFACE.len().min(stream.len());
    if stream[..common] != PREFACE[..common] {
        found.bytes.resize(stream.len(), Whose::Theirs);
        return found;
    }
    found.bytes.resize(common, Whose::Theirs);
    let mut is_in_block = false;
    while found.bytes.len() < stream.len() {
        let at = found.bytes.len();
        let rest = &stream[at..];
        let Some(header) = FrameHeader::read(rest) else {
            found.bytes.resize(stream.len(), Whose::Open);
            break;
        };
        let end = 9 + header.length as usize;
        let payload = &rest[9..end.min(rest.len())];
        let whose = match header.kind {
            _ if is_in_block => Whose::Theirs,
            Kind::DATA if is_ours(header.stream) => data(header, payload, &mut found.data),
            Kind::HEADERS => match block(rest, limit) {
                Some(Ok(end)) => {
                    found.bytes.resize(at + end, Whose::Block);
                    continue;
                }
                Some(Err(())) => Whose::Theirs,
                None => {
                    found.bytes.resize(stream.len(), Whose::Open);
                    break;
                }
            },
            _ => Whose::Theirs,
        };
        is_in_block =
            matches!(header.kind, Kind::HEADERS | Kind::CONTINUATION) && header.flags & 4 == 0;
        found.bytes.resize((at + end).min(stream.len()), whose);
    }
    found
}

fn data(header: FrameHeader, payload: &[u8], found: &mut Vec<Data>) -> Whose {
    let length = header.length as usize;
    let (padding, payload) = match payload {
        _ if header.flags & 8 == 0 => (0, payload),
        [] if length > 0 => return Whose::Open,
        [padding, payload @ ..] if usize::from(*padding) < length => {
            (1 + usize::from(*padding), payload)
        }
        _ => return Whose::Theirs,
    };
    let real = length - padding;
    let (payload, behind) = payload.split_at(real.min(payload.len()));
    let come = usize::from(padding > 0) + behind.len();
    found.push(Data {
        stream: header.stream,
        payload: payload.to_vec(),
        padding: come,
        is_last: header.flags & 1 != 0 && payload.len() == real && come == padding,
    });
    Whose::Data(header.stream)
}

/// Where a block ends. An error if there is none, and `None` if more has to come.
fn block(stream: &[u8], limit: usize) -> Option<Result<usize, ()>> {
    let first = FrameHeader::read(stream)?;
    let mut end = 9 + first.length as usize;
    let mut header = first;
    if end > limit {
        return Some(Err(()));
    }
    let payload = &stream[9..end.min(stream.len())];
    let priority = if first.flags & 0x20 != 0 { 5 } else { 0 };
    if first.flags & 8 != 0 {
        let taken = 1 + priority + payload.first().map_or(0, |&padding| usize::from(padding));
        if (first.length as usize) < taken {
            return Some(Err(()));
        }
    } else if (first.length as usize) < priority {
        return Some(Err(()));
    }
    while header.flags & 4 == 0 {
        header = FrameHeader::read(stream.get(end..)?)?;
        if header.kind != Kind::CONTINUATION || header.stream != first.stream {
            return Some(Err(()));
        }
        end += 9 + header.length as usize;
        if end > limit {
            return Some(Err(()));
        }
    }
    (end <= stream.len()).then_some(Ok(end))
}

/// What the cutter finds, when the connection comes in such pieces.
pub fn cut(
    stream: &[u8],
    limit: usize,
    is_ours: impl Fn(u32) -> bool,
    pieces: impl IntoIterator<Item = usize>,
) -> Found {
    let mut found = Found::default();
    let mut cutter = Cutter::new(limit as u32);
    let (mut start, mut come) = (0, 0);
    let mut is_within = false;
    let mut pieces = pieces.into_iter();
    while come < stream.len() {
        come = stream
            .len()
            .min(come + pieces.next().unwrap_or(stream.len()).max(1));
        loop {
            let bytes = &stream[start..come];
            let cut = cutter.next(bytes, &is_ours);
            assert!(cut.size() <= bytes.len());
            assert!(cut.size() > 0 || cut == Cut::More);
            let whose = match cut {
                Cut::Theirs(theirs) => {
                    assert_eq!(theirs, &bytes[..theirs.len()]);
                    Whose::Theirs
                }
                Cut::Block(block) => {
                    assert_eq!(block.frames, &bytes[..block.frames.len()]);
                    let mut joined = vec![0; block.size()];
                    block.join(&mut joined);
                    found.blocks.push((block.stream, joined));
                    Whose::Block
                }
                Cut::Data(data) => {
                    if !is_within {
                        found.data.push(Data {
                            stream: data.stream,
                            ..Data::default()
                        });
                    }
                    let whole = found.data.last_mut().expect("it has a beginning");
                    whole.payload.extend(data.payload);
                    whole.padding += data.padding as usize;
                    whole.is_last |= data.is_last;
                    Whose::Data(data.stream)
                }
                Cut::More => break,
            };
            start += cut.size();
            found.bytes.resize(start, whose);
            is_within = matches!(cut, Cut::Data(_)) && !ends_here(stream, start);
        }
        if start > 0 && start < come {
            // What is held back is a beginning.
            assert!(come - start < limit.max(15) + 9, "{} bytes", come - start);
        }
    }
    found.bytes.resize(stream.len(), Whose::Open);
    found
}

/// Whether a frame ends here.
fn ends_here(stream: &[u8], place: usize) -> bool {
    let mut at = PREFACE.len();
    while at < place {
        let Some(header) = FrameHeader::read(&stream[at..]) else {
            return false;
        };
        at += 9 + header.length as usize;
    }
    at == place
}

/// Whether the cutter has found what is there: a block may be told to be the server's before it is whole.
pub fn agree(cut: &Found, read: &Found) {
    assert_eq!(cut.bytes.len(), read.bytes.len());
    for (place, (ours, theirs)) in cut.bytes.iter().zip(&read.bytes).enumerate() {
        let is_right = match theirs {
            Whose::Block | Whose::Open => matches!(ours, Whose::Theirs) || ours == theirs,
            // What stands in front of a block is waited for, also where it could be told to be wrong.
            Whose::Theirs => {
                ours == theirs || *ours == Whose::Open && place + 15 > read.bytes.len()
            }
            Whose::Data(_) => ours == theirs,
        };
        assert!(is_right, "byte {place} is {ours:?}, not {theirs:?}");
    }
    assert_eq!(cut.data, read.data);
}
