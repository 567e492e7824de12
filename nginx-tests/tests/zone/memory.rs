//! The zone of a running nginx, mapped from the master's descriptor of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::{ptr, slice};

use nginx_tests::{Nginx, wait_for};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use websocket_zone::{Counters, Tunnel, Zone};

/// The zone that a process has now.
#[track_caller]
pub fn zone_of(pid: u32) -> Zone<'static> {
    wait_for("a zone", || find(pid))
}

#[track_caller]
pub fn zone(nginx: &Nginx) -> Zone<'static> {
    zone_of(nginx.pid())
}

pub fn find(pid: u32) -> Option<Zone<'static>> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let is_zone = |path: &Path| {
        fs::read_link(path).is_ok_and(|target| {
            target
                .to_string_lossy()
                .starts_with("/memfd:websocket_zone")
        })
    };
    let path = descriptors
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| is_zone(path))?;
    let file = File::options().read(true).write(true).open(path).ok()?;
    Zone::open(map(&file))
}

/// It stays mapped as long as the test runs.
fn map(file: &File) -> &'static [AtomicU64] {
    let size = file.metadata().expect("an open file").len() as usize;
    // SAFETY: a new mapping of words that all who have it write by atomics.
    unsafe {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let start = mmap(
            ptr::null_mut(),
            size,
            access,
            MapFlags::SHARED,
            file.as_fd(),
            0,
        );
        slice::from_raw_parts(start.expect("a mapping").cast(), size / 8)
    }
}

pub fn tunnels(zone: Zone<'_>) -> Vec<Tunnel> {
    let tunnels = (0..zone.tunnels()).filter_map(|index| zone.tunnel(index));
    tunnels.collect()
}

/// What was counted for a label.
#[track_caller]
pub fn label<'m>(zone: Zone<'m>, name: &str) -> Counters<'m> {
    let mut labels = (0..zone.labels()).filter_map(|index| zone.label(index));
    let found = labels.find(|label| *label.name == *name.as_bytes());
    found
        .unwrap_or_else(|| panic!("no label {name:?}"))
        .counters
}

pub fn labels(zone: Zone<'_>) -> Vec<String> {
    let labels = (0..zone.labels()).filter_map(|index| zone.label(index));
    let mut names: Vec<String> = labels
        .filter(|label| *label.name != *b"other" || label.counters.attempts() > 0)
        .map(|label| String::from_utf8_lossy(&label.name).into_owned())
        .collect();
    names.sort();
    names
}

/// All counters that never go down, by name.
pub fn counted(zone: Zone<'_>) -> BTreeMap<String, u64> {
    let counters = zone.totals();
    let (client, upstream) = (counters.from_client(), counters.from_upstream());
    let plain = [
        ("attempts", counters.attempts()),
        ("established", counters.established()),
        ("drained", counters.drained()),
        ("own loop", counters.own_loop()),
        ("unlisted", counters.unlisted()),
        ("pings sent", counters.pings_sent()),
        ("pings lost", counters.pings_lost()),
        ("bytes from client", client.bytes),
        ("frames from client", client.frames),
        ("messages from client", client.messages),
        ("bytes from upstream", upstream.bytes),
        ("frames from upstream", upstream.frames),
        ("messages from upstream", upstream.messages),
    ];
    let mut all: BTreeMap<String, u64> = plain
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .collect();
    for (cause, count) in counters.rejected() {
        all.insert(format!("rejected {:?}", cause.0), count);
    }
    for (cause, count) in counters.failed() {
        all.insert(format!("failed {:?}", cause.0), count);
    }
    for close in counters.closes() {
        let name = format!(
            "closed by {:?}: {:?} {:?}",
            close.by, close.reason, close.code
        );
        all.insert(name, close.count);
    }
    for kind in websocket_zone::Kind::ALL {
        let histogram = counters.histogram(kind);
        all.insert(format!("{kind:?} sum"), histogram.sum_ms);
        for (bucket, count) in histogram.buckets.into_iter().enumerate() {
            all.insert(format!("{kind:?} bucket {bucket}"), count);
        }
    }
    all
}

/// That of these nothing has gone down since.
#[track_caller]
pub fn assert_grown(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) {
    for (name, count) in before {
        let now = after.get(name).copied().unwrap_or_default();
        assert!(now >= *count, "{name}: {count}, then {now}");
    }
}
