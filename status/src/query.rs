//! The query of a request: its parameters, and what is wrong with one.

use core::fmt;
use core::str;

use websocket_protocol::Escaped;
use websocket_zone::{Cidr, Text};

/// A parameter as it was sent, and what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong<'q> {
    name: &'q [u8],
    value: Option<&'q [u8]>,
    expected: &'static str,
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            expected,
        } = self;
        match value {
            Some(value) => write!(
                f,
                "{} \"{}\" must be {expected}",
                Escaped(name),
                Escaped(value)
            ),
            None => write!(f, "\"{}\" {expected}", Escaped(name)),
        }
    }
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter<'q> {
    pub name: &'q [u8],
    /// As it was sent.
    raw: &'q [u8],
}

/// All of them, in their order.
pub(crate) fn parameters(query: &[u8]) -> impl Iterator<Item = Parameter<'_>> {
    query
        .split(|byte| *byte == b'&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let mut parts = parameter.splitn(2, |byte| *byte == b'=');
            let mut next = || parts.next().unwrap_or_default();
            Parameter {
                name: next(),
                raw: next(),
            }
        })
}

/// The value of a parameter that may be there, where it needs no decoding.
pub(crate) fn find<'q>(query: &'q [u8], name: &str) -> Option<Parameter<'q>> {
    parameters(query).find(|parameter| parameter.name == name.as_bytes())
}

impl<'q> Parameter<'q> {
    /// Its value, with `%HH` and `+` decoded. Longer ones than any that is kept are refused: what was cut
    /// off could be the difference.
    pub fn text(&self) -> Result<Text, Wrong<'q>> {
        let mut decoded = [0; Text::MAX];
        let mut length = 0;
        let mut bytes = self.raw.iter();
        while let Some(byte) = bytes.next() {
            let byte = match byte {
                b'+' => b' ',
                b'%' => {
                    let mut digit = || hex(*bytes.next()?);
                    let both = digit().zip(digit());
                    let (high, low) = both.ok_or(self.wrong("percent-encoded text"))?;
                    high << 4 | low
                }
                byte => *byte,
            };
            let place = decoded
                .get_mut(length)
                .ok_or(self.wrong("at most 144 bytes"))?;
            *place = byte;
            length += 1;
        }
        Ok(Text::new(decoded.get(..length).unwrap_or_default()))
    }

    /// A whole number.
    pub fn number(&self) -> Result<u64, Wrong<'q>> {
        self.parsed("a whole number", |text| {
            // Rust would take a sign.
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| is_plain)
        })
    }

    /// A range of addresses.
    pub fn cidr(&self) -> Result<Cidr, Wrong<'q>> {
        self.parsed(
            "an address, or a range such as 192.0.2.0/24 or 2001:db8::/32",
            Cidr::parse,
        )
    }

    /// A time in milliseconds.
    pub fn time(&self) -> Result<u64, Wrong<'q>> {
        self.parsed("a time, such as 30s, 5m or 1h30m", time)
    }

    /// `1` or `0`
    pub fn flag(&self) -> Result<bool, Wrong<'q>> {
        self.parsed("1 or 0", |text| match text {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        })
    }

    pub fn parsed<T>(
        &self,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Wrong<'q>> {
        let text = self.text()?;
        let parsed = str::from_utf8(&text).ok().and_then(parse);
        parsed.ok_or(self.wrong(expected))
    }

    /// Its value is not what it has to be.
    pub fn wrong(&self, expected: &'static str) -> Wrong<'q> {
        Wrong {
            name: self.name,
            value: Some(self.raw),
            expected,
        }
    }

    /// It must not be here.
    pub fn refused(&self, why: &'static str) -> Wrong<'q> {
        Wrong {
            value: None,
            ..self.wrong(why)
        }
    }
}

/// A parameter that should be here.
pub(crate) fn missing(name: &'static str, why: &'static str) -> Wrong<'static> {
    Wrong {
        name: name.as_bytes(),
        value: None,
        expected: why,
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// A time as nginx writes it, `1h30m`, in milliseconds; a number alone is seconds.
fn time(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let mut rest = text;
    let mut total = 0u64;
    let mut smallest = u64::MAX;
    loop {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, from) = rest.split_at_checked(digits)?;
        let letters = from
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(from.len());
        let (unit, next) = from.split_at_checked(letters)?;
        let ms = match unit {
            "" => 1000,
            _ => UNITS.iter().find(|(name, _)| *name == unit)?.1,
        };
        let number: u64 = number.parse().ok()?;
        total = total.checked_add(number.checked_mul(ms)?)?;
        if ms >= smallest {
            return None;
        }
        if next.is_empty() {
            return Some(total);
        }
        (smallest, rest) = (ms, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(query: &str) -> Result<String, String> {
        let parameter = parameters(query.as_bytes()).next().unwrap();
        let text = parameter.text().map_err(|wrong| wrong.to_string())?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn values_are_decoded() {
        for (query, decoded) in [
            ("a=b", "b"),
            ("a", ""),
            ("a=", ""),
            ("a=b=c", "b=c"),
            ("a=x+y%20z%2f%C3%A9", "x y z/\u{e9}"),
            ("a=%00", "\0"),
        ] {
            assert_eq!(value(query).unwrap(), decoded, "{query}");
        }
        for query in ["a=%", "a=%2", "a=%zz", "a=%+1"] {
            let wrong = value(query).unwrap_err();
            assert!(wrong.ends_with("must be percent-encoded text"), "{wrong}");
        }
        assert!(value(&format!("a={}", "x".repeat(144))).is_ok());
        assert!(value(&format!("a={}", "x".repeat(145))).is_err());
    }

    #[test]
    fn parameters_are_found() {
        let names = |query: &'static str| -> Vec<_> {
            parameters(query.as_bytes())
                .map(|parameter| str::from_utf8(parameter.name).unwrap())
                .collect()
        };
        assert_eq!(names("a=1&b&&c=2&"), ["a", "b", "c"]);
        assert_eq!(names(""), [""; 0]);
        assert_eq!(find(b"a=1&b=2&b=3", "b").unwrap().number(), Ok(2));
        assert!(find(b"ab=1", "a").is_none());
    }

    #[test]
    fn times_are_as_nginx_writes_them() {
        for (text, ms) in [
            ("0", Some(0)),
            ("30", Some(30_000)),
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("1h30m", Some(5_400_000)),
            ("1m30", Some(90_000)),
            ("2d", Some(172_800_000)),
            ("1s5ms", Some(1005)),
            ("", None),
            ("s", None),
            ("1m1h", None),
            ("1m1m", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("5x", None),
            ("18446744073709551615", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(time(text), ms, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let parameter = find(b"client=10.0.0.0/33%22", "client").unwrap();
        assert_eq!(
            parameter.cidr().unwrap_err().to_string(),
            "client \"10.0.0.0/33%22\" must be an address, \
             or a range such as 192.0.2.0/24 or 2001:db8::/32"
        );
        assert_eq!(
            parameter.refused("is given twice").to_string(),
            "\"client\" is given twice"
        );
        assert!(find(b"n=+1", "n").unwrap().number().is_err());
        assert!(find(b"n=", "n").unwrap().number().is_err());
    }
}
