//! Names of hosts with wildcards, as `server_name` has them and a `map` with `hostnames` (`ngx_hash_find_combined()`).

/// How a name matches, the better the greater.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub enum Matched {
    /// `www.example.*`, by its length.
    ByBeginning(usize),
    /// `*.example.com` or `.example.com`, likewise.
    ByEnd(usize),
    Exactly,
}

impl Matched {
    /// How a name matches a host's, which is in lower case.
    pub fn of(name: &str, host: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if let Some(end) = name.strip_prefix('*') {
            let matches = host.len() > end.len() && host.ends_with(end);
            return matches.then_some(Self::ByEnd(end.len()));
        }
        if name.starts_with('.') {
            let matches = host == &name[1..] || host.ends_with(&name);
            return matches.then_some(Self::ByEnd(name.len()));
        }
        if let Some(beginning) = name.strip_suffix('*') {
            let matches = host.len() > beginning.len() && host.starts_with(beginning);
            return matches.then_some(Self::ByBeginning(beginning.len()));
        }
        (name == host).then_some(Self::Exactly)
    }
}
