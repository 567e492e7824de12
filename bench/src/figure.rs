//! What is told of a peer.

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Microseconds of the proxy's CPU for each operation.
    Cpu,
    /// Operations a second.
    Rate,
    /// Payload a second, one way, in MB (10^6 bytes).
    Throughput,
    /// How much of its core the proxy was busy: below 100 % the generator may be the limit.
    Busy,
    /// Instructions of the proxy's own, outside the kernel, for each operation.
    Instructions,
    /// KiB of the proxy's memory for each tunnel.
    TunnelMemory,
    /// The same when the tunnels are gone.
    LeftMemory,
    /// KiB of the kernel's memory for each tunnel: its four sockets, of which the proxy has two, and
    /// what waits in them.
    KernelMemory,
    /// KiB of the proxy's memory, all of it.
    Memory,
    /// How long half of the requests or messages waited at most, all but one in a hundred, all but one
    /// in a thousand, and all.
    WaitMedian,
    WaitP99,
    WaitP999,
    WaitLongest,
    /// How long the generator was kept from its work at most: a wait may be longer by a few of these.
    Pause,
}

impl Figure {
    /// As a person reads it; `operation` is what is counted.
    pub fn label(self, operation: &str) -> String {
        // Messages have their tunnels.
        let holder = match operation {
            "page" => operation,
            _ => "tunnel",
        };
        match self {
            Self::Cpu => format!("CPU µs/{operation}"),
            Self::Rate => format!("{operation}s/s"),
            Self::Throughput => "MB/s".to_owned(),
            Self::Busy => "core busy %".to_owned(),
            Self::Instructions => format!("instructions/{operation}"),
            Self::TunnelMemory => format!("KiB/{holder}"),
            Self::LeftMemory => format!("KiB/{holder}, afterwards"),
            Self::KernelMemory => format!("kernel KiB/{holder}"),
            Self::Memory => "KiB in all".to_owned(),
            Self::WaitMedian => "wait ms, median".to_owned(),
            Self::WaitP99 => "wait ms, 99th percentile".to_owned(),
            Self::WaitP999 => "wait ms, 99.9th percentile".to_owned(),
            Self::WaitLongest => "wait ms, longest".to_owned(),
            Self::Pause => "generator's pause ms".to_owned(),
        }
    }

    /// As a program reads it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_us_per_operation",
            Self::Rate => "operations_per_second",
            Self::Throughput => "megabytes_per_second",
            Self::Busy => "core_busy_percent",
            Self::Instructions => "user_instructions_per_operation",
            Self::TunnelMemory => "kib_per_tunnel",
            Self::LeftMemory => "kib_per_tunnel_afterwards",
            Self::KernelMemory => "kernel_kib_per_tunnel",
            Self::Memory => "kib",
            Self::WaitMedian => "wait_ms_median",
            Self::WaitP99 => "wait_ms_p99",
            Self::WaitP999 => "wait_ms_p99_9",
            Self::WaitLongest => "wait_ms_longest",
            Self::Pause => "generator_pause_ms",
        }
    }
}
