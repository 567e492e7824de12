//! What a request to `websocket_status` or `websocket_control` asks for: its query in the first line of an
//! input, its headers Accept, Sec-Fetch-Site, Origin and Host in the next. What is read of it is what is read
//! of the same query by someone who decodes it first; and it is answered with JSON.

#![no_main]

use std::collections::HashMap;
use std::net::IpAddr;
use std::str;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;

use libfuzzer_sys::fuzz_target;
use regex::Regex;
use serde_json::Value;
use websocket_fuzz::input::Input;
use websocket_fuzz::text::assert_line;
use websocket_protocol::{OriginRule, RequestAuthority};
use websocket_status::{
    About, Answer, Ask, Close, Closing, Entry, Forbidden, Format, Meant, Report, Sender, action,
    format, write_error,
};
use websocket_zone::{Alone, Memory, Place, Text, Writer, Zone};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let (query, accept) = (input.line(), input.line());
    let parameters = parameters(query);
    is_listed(query, &parameters);
    closes(query, &parameters);
    tells(query, &parameters);
    has_a_format(query, accept, &parameters);
    may_act(&mut input);
});

const NOW: u64 = 100_000;

/// Tunnels by client, label and upstream.
const TUNNELS: [[&str; 3]; 6] = [
    ["192.0.2.1", "a", "10.0.0.1:80"],
    ["192.0.2.77", "b c", "10.0.0.2:80"],
    ["198.51.100.7", "a", "10.0.0.1:80"],
    ["2001:db8::1", "a", "unix:/run/app"],
    ["::ffff:192.0.2.5", "b c", ""],
    ["unix:", "a", "10.0.0.1:80"],
];

static ZONE: LazyLock<Zone<'static>> = LazyLock::new(|| {
    let words: Vec<_> = (0..Zone::least_words(4))
        .map(|_| AtomicU64::new(0))
        .collect();
    let memory = Memory {
        name: b"one",
        history: 4,
        started: 0,
    };
    let zone = Zone::create(words.leak(), memory).expect("it is large enough");
    let writer = Writer::claim(zone, &Alone).expect("there is a slot");
    for (begun, [client, label, upstream]) in (0..).zip(TUNNELS) {
        let place = Place {
            client: client.as_bytes(),
            upstream: upstream.as_bytes(),
            ..Place::default()
        };
        writer.established(writer.label(label.as_bytes()), &place, 0, begun, begun);
    }
    zone
});

// ---- a query, decoded first ------------------------------------------------------

/// The parameters in their order; what can't be decoded has no value.
type Parameters = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn parameters(query: &[u8]) -> Parameters {
    let all = query
        .split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty());
    all.map(|part| {
        let end = part.iter().position(|byte| *byte == b'=');
        let (name, value) = part.split_at(end.unwrap_or(part.len()));
        (name.to_vec(), decoded(value.get(1..).unwrap_or_default()))
    })
    .collect()
}

fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = vec![];
    let mut rest = value;
    while let [first, behind @ ..] = rest {
        rest = behind;
        decoded.push(match first {
            b'+' => b' ',
            b'%' => {
                let digits = behind.get(..2)?;
                rest = &behind[2..];
                let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
                let digits = str::from_utf8(digits).ok().filter(|_| is_hex)?;
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => *byte,
        });
    }
    (decoded.len() <= Text::MAX).then_some(decoded)
}

fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// A time as nginx's manual has it, in milliseconds: units from the largest to the smallest.
fn time(text: &str) -> Option<u64> {
    static TIME: LazyLock<Regex> = LazyLock::new(|| {
        let large = r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?";
        let small = r"(?:([0-9]+)s)?(?:([0-9]+)ms)?";
        let plain = "([0-9]+)";
        Regex::new(&format!(r"\A{large}(?:{plain}|{small})\z")).expect("it is an expression")
    });
    let found = TIME.captures(text).filter(|_| !text.is_empty())?;
    let mut sum = 0u64;
    for (at, unit) in [86_400_000, 3_600_000, 60_000, 1000, 1000, 1]
        .into_iter()
        .enumerate()
    {
        if let Some(digits) = found.get(at + 1) {
            let count: u64 = digits.as_str().parse().ok()?;
            sum = sum.checked_add(count.checked_mul(unit)?)?;
        }
    }
    Some(sum)
}

/// A range of addresses, by its bits.
#[derive(Clone)]
struct Range {
    bits: String,
}

impl Range {
    fn read(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let bits = bits(address.parse().ok()?);
        let prefix = match text.contains('/') {
            true => usize::try_from(number(prefix)?).ok()?,
            false => bits.len(),
        };
        let bits = bits.get(..prefix)?.to_owned();
        // So that an empty one has a family.
        let family = if address.contains(':') { "6" } else { "4" };
        Some(Self {
            bits: family.to_owned() + &bits,
        })
    }

    fn contains(&self, address: &str) -> bool {
        let Ok(mut address) = address.parse::<IpAddr>() else {
            return false;
        };
        if self.bits.starts_with('4') {
            address = address.to_canonical();
        }
        let family = if address.is_ipv4() { "4" } else { "6" };
        (family.to_owned() + &bits(address)).starts_with(&self.bits)
    }
}

fn bits(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:032b}", u32::from(address)),
        IpAddr::V6(address) => format!("{:0128b}", u128::from(address)),
    }
}

/// Whether a tunnel is one of those that parameters name.
fn is_meant(wanted: &HashMap<&[u8], &[u8]>, [client, label, upstream]: [&str; 3]) -> bool {
    let text = |name: &[u8]| wanted.get(name).map(|value| String::from_utf8_lossy(value));
    let range = text(b"client").map(|text| Range::read(&text).expect("it was read"));
    range.is_none_or(|range| range.contains(client))
        && text(b"label").is_none_or(|wanted| wanted == label)
        && text(b"upstream").is_none_or(|wanted| wanted == upstream)
}

// ---- what it asks for ---------------------------------------------------------------

fn is_listed(query: &[u8], parameters: &Parameters) {
    let zone = *ZONE;
    let expected = asked(parameters);
    let ask = Ask::parse(&zone, query);
    assert_eq!(ask.is_ok(), expected.is_some());
    let ask = match ask {
        Ok(ask) => ask,
        Err(wrong) => return is_told(wrong),
    };
    let wanted = expected.expect("it is right");
    let mut room = vec![Entry::EMPTY; ask.room(&zone)];
    let about = About {
        nginx: "1.22.1",
        control: None,
        time: 0,
    };
    let mut answer = Answer::report(Report::new(zone, ask, about, &mut room));
    let mut text = vec![];
    loop {
        let mut piece = [0; 4096];
        let filled = answer.fill(&mut piece, NOW);
        text.extend(&piece[..filled.length]);
        if filled.is_last {
            break;
        }
    }
    let value: Value = serde_json::from_slice(&text).expect("it is JSON");
    let tunnels = &value["tunnels"];
    let count = |name: &[u8], usual: u64| {
        let value = wanted
            .get(name)
            .and_then(|value| str::from_utf8(value).ok());
        value.map_or(usual, |value| value.parse().expect("a number"))
    };
    let meant = TUNNELS
        .into_iter()
        .filter(|tunnel| is_meant(&wanted, *tunnel));
    let all = if count(b"tunnels", 100) == 0 {
        0
    } else {
        meant.count() as u64
    };
    assert_eq!(tunnels["matched"], all);
    assert_eq!(tunnels["offset"], count(b"offset", 0));
    let list = tunnels["list"].as_array().expect("a list");
    let left = all.saturating_sub(count(b"offset", 0));
    assert_eq!(list.len() as u64, left.min(count(b"tunnels", 100)));
}

/// The last of each name counts. `None`: something is wrong with one of them, even if it does not count.
fn asked(parameters: &Parameters) -> Option<HashMap<&[u8], &[u8]>> {
    let mut wanted = HashMap::new();
    let mut counts = [100, 0];
    for (name, value) in parameters {
        let text = || str::from_utf8(value.as_ref()?).ok();
        let count = || text().and_then(number).filter(|count| *count <= 100_000);
        match name.as_slice() {
            b"tunnels" => counts[0] = count()?,
            b"offset" => counts[1] = count()?,
            b"failures" | b"ends" => {
                text().and_then(number)?;
            }
            b"sort" => {
                let all = ["id", "bytes", "messages", "age", "idle", "rtt", "waiting"];
                text().filter(|text| all.contains(text))?;
            }
            b"client" => {
                text().and_then(Range::read)?;
            }
            b"label" | b"upstream" => {
                value.as_ref()?;
            }
            _ => continue,
        }
        if counts[0] + counts[1] > 100_000 {
            return None;
        }
        wanted.insert(name.as_slice(), value.as_deref()?);
    }
    Some(wanted)
}

fn closes(query: &[u8], parameters: &Parameters) {
    let zone = *ZONE;
    let close = Close::parse(&zone, query, NOW);
    let expected = to_close(parameters);
    assert_eq!(close.is_ok(), expected.is_some());
    let close = match close {
        Ok(close) => close,
        Err(wrong) => return is_told(wrong),
    };
    let wanted = expected.expect("it is right");
    let text = |name: &[u8]| {
        wanted
            .get(name)
            .and_then(|value| str::from_utf8(value).ok())
    };
    let action = close.action;
    assert_eq!(action.over_ms, text(b"over").and_then(time).unwrap_or(0));
    assert_eq!(
        Some(u64::from(action.code)),
        text(b"code").map_or(Some(1012), number)
    );
    assert_eq!(
        &*action.reason,
        *wanted.get(&b"reason"[..]).unwrap_or(&&b""[..])
    );
    assert_eq!(close.is_dry, text(b"dry_run") == Some("1"));
    assert_eq!(action.which.id, text(b"id").and_then(number));
    assert_eq!(action.which.idle_ms, text(b"idle").and_then(time));
    assert_eq!(action.which.older_ms, text(b"older").and_then(time));

    // Nothing in the answer but what was asked for.
    let mut room = [0; 2048];
    let meant = Meant::default();
    let id = None;
    let length = Closing::Posted { id, action, meant }.write(&mut room);
    let value: Value = serde_json::from_slice(&room[..length]).expect("it is JSON");
    assert_eq!(value["code"], action.code);
    assert_eq!(
        value["reason"].as_str().map(str::as_bytes),
        Some(&*action.reason)
    );
}

/// Each may be there once, none that is not known, and one has to say which.
fn to_close(parameters: &Parameters) -> Option<HashMap<&[u8], &[u8]>> {
    const DAY: u64 = 86_400_000;
    let mut wanted: HashMap<&[u8], &[u8]> = HashMap::new();
    let mut is_said = false;
    for (name, value) in parameters {
        let value = value.as_deref();
        let text = || str::from_utf8(value?).ok();
        let (is_right, says) = match name.as_slice() {
            b"id" => (text().and_then(number).is_some(), true),
            b"label" | b"upstream" | b"subprotocol" => (value.is_some(), true),
            b"client" => (text().and_then(Range::read).is_some(), true),
            b"idle" | b"older" => (text().and_then(time).is_some(), true),
            b"over" => (text().and_then(time).is_some_and(|over| over <= DAY), false),
            b"code" => (text().and_then(number).is_some_and(may_be_sent), false),
            b"reason" => (text().is_some_and(|text| text.len() <= 123), false),
            b"dry_run" => (matches!(text(), Some("0" | "1")), false),
            _ => (false, false),
        };
        let before = wanted.insert(name, value?);
        if !is_right || before.is_some() {
            return None;
        }
        is_said |= says;
    }
    is_said.then_some(wanted)
}

/// RFC 6455 section 7.4, and IANA's registry.
fn may_be_sent(code: u64) -> bool {
    (1000..5000).contains(&code) && !matches!(code, 1004 | 1005 | 1006 | 1015..=2999)
}

fn tells(query: &[u8], parameters: &Parameters) {
    let named = parameters.iter().find(|(name, _)| name == b"action");
    let value = named.and_then(|(_, value)| value.as_deref());
    let expected = value.and_then(|value| number(str::from_utf8(value).ok()?));
    match action(query) {
        Ok(id) => assert_eq!(Some(id), expected),
        Err(wrong) => {
            assert_eq!(expected, None);
            is_told(wrong);
        }
    }
}

fn has_a_format(query: &[u8], accept: &[u8], parameters: &Parameters) {
    let named = parameters.iter().find(|(name, _)| name == b"format");
    let asked = named.map(|(_, value)| match value.as_deref() {
        Some(b"html") => Some(Format::Html),
        Some(b"json") => Some(Format::Json),
        Some(b"prometheus") => Some(Format::Prometheus),
        _ => None,
    });
    let found = format(None, query, accept);
    match asked {
        Some(None) => assert!(found.is_err()),
        Some(Some(Format::Prometheus)) => {
            assert!(matches!(
                found,
                Ok(Format::Prometheus | Format::OpenMetrics)
            ));
        }
        Some(Some(asked)) => assert_eq!(found, Ok(asked)),
        // What can't be a type is not chosen, whatever else is liked.
        None if !accept.contains(&b'/') => assert_eq!(found, Ok(Format::Html)),
        None => assert!(found.is_ok()),
    }
}

/// A request that a page of another site can make does nothing.
fn may_act(input: &mut Input<'_>) {
    let mut value = || match input.line() {
        b"-" => None,
        value => Some(value),
    };
    let sender = Sender {
        control: value(),
        fetch_site: value(),
        origin: value(),
        authority: RequestAuthority {
            secure: false,
            host: value().unwrap_or_default(),
        },
    };
    let is_own = |site: &[u8]| site == b"same-origin" || site == b"none";
    let is_same = |origin| OriginRule::Same.matches(Some(origin), sender.authority);
    let is_here = sender.fetch_site.is_none_or(is_own) && sender.origin.is_none_or(is_same);
    let expected = match (is_here, sender.control) {
        (false, _) => Err(Forbidden::OtherSite),
        (true, Some(b"1")) => Ok(()),
        (true, _) => Err(Forbidden::NoHeader),
    };
    assert_eq!(sender.may_act(), expected);
}

/// What is wrong is said in a line, and in JSON.
fn is_told(wrong: impl std::fmt::Display) {
    let text = wrong.to_string();
    assert_line(&text, 8 * 128 + 160);
    let mut room = [0; 2048];
    let length = write_error(&mut room, &text);
    let value: Value = serde_json::from_slice(&room[..length]).expect("it is JSON");
    assert_eq!(value["error"], text);
}
