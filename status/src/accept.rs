//! What a client would have, by its header Accept (RFC 9110 section 12.5.1).

use core::str;

use crate::format::Format;

/// The format that the client likes best: the one of the highest quality, then one that it names over one
/// that it has a wildcard for, then the first. The first too, where it likes none.
pub(crate) fn best(accept: &[u8], formats: &[Format]) -> Format {
    let mut best = (0, 0);
    let mut chosen = formats.first().copied().unwrap_or(Format::Html);
    for format in formats {
        let rank = rank(accept, *format);
        if rank.0 > 0 && rank > best {
            (best, chosen) = (rank, *format);
        }
    }
    chosen
}

fn media_type(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Html => ("text", "html"),
        Format::Json => ("application", "json"),
        Format::Prometheus => ("text", "plain"),
        Format::OpenMetrics => ("application", "openmetrics-text"),
    }
}

/// The quality in thousandths, and how closely the format is named: the closest range counts.
fn rank(accept: &[u8], format: Format) -> (u16, u8) {
    let (kind, subtype) = media_type(format);
    let mut found = (0, 0);
    for range in accept.split(|byte| *byte == b',') {
        let Ok(range) = str::from_utf8(range) else {
            continue;
        };
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let closeness = match name.split_once('/') {
            Some(("*", "*")) => 1,
            Some((a, "*")) if a.eq_ignore_ascii_case(kind) => 2,
            Some((a, b)) if a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(subtype) => 3,
            _ => continue,
        };
        let quality = parts
            .find_map(|parameter| {
                parameter
                    .strip_prefix("q=")
                    .or(parameter.strip_prefix("Q="))
            })
            .map_or(1000, quality);
        // Of several versions of one type the best counts.
        if closeness > found.1 || closeness == found.1 && quality > found.0 {
            found = (quality, closeness);
        }
    }
    found
}

/// `0.123` in thousandths.
fn quality(text: &str) -> u16 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if whole != "0" {
        return 1000;
    }
    let digits = rest.bytes().chain([b'0'; 3]).take(3);
    digits.fold(0, |sum, digit| {
        sum * 10 + u16::from(digit.wrapping_sub(b'0').min(9))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_chosen() {
        use Format::{Html, Json, OpenMetrics, Prometheus};
        for (accept, format) in [
            ("", Html),
            ("*/*", Html),
            ("image/png", Html),
            ("application/json", Json),
            ("APPLICATION/JSON", Json),
            ("application/json, text/plain, */*", Json),
            ("application/*", Json),
            ("text/plain", Prometheus),
            ("text/html;q=0.3, text/plain;q=0.31", Prometheus),
            ("text/html;q=0, */*", Json),
            (
                "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8",
                Html,
            ),
            ("application/json;q=x, text/html;q=0.999", Json),
            // What Prometheus 2.40, 3.0 and 1.8 send.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                 version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Prometheus),
            ("\u{ff}/,;;q=,/", Html),
        ] {
            let formats = [Html, Json, Prometheus, OpenMetrics];
            assert_eq!(best(accept.as_bytes(), &formats), format, "{accept}");
        }
    }
}
