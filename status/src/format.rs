//! The formats of answers.

use core::ffi::CStr;

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The page.
    Html,
    /// All of it.
    Json,
    /// Prometheus' text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// For the header `Content-Type`.
    pub const fn content_type(self) -> &'static CStr {
        match self {
            Self::Html => c"text/html; charset=utf-8",
            Self::Json => c"application/json",
            Self::Prometheus => c"text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => c"application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}
