//! What it costs to follow 64 KB of a stream: one large frame, or many of 125 bytes.

// Criterion's macro makes an undocumented public function.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use websocket_protocol::Scanner;

criterion_group!(benches, scan);
criterion_main!(benches);

fn scan(c: &mut Criterion) {
    let large = [
        &[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0][..],
        &[0; 4],
        &[0; 65_536],
    ]
    .concat();
    let small = [&[0x82, 0x80 | 125][..], &[0; 4], &[0; 125]]
        .concat()
        .repeat(500);
    let mut group = c.benchmark_group("scan");
    for (name, stream) in [("one of 65536 bytes", large), ("500 of 125 bytes", small)] {
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut scanner = Scanner::new(true);
                let mut longest = 0;
                let valid = scanner.scan(black_box(&stream), |f| longest = f.length.max(longest));
                (valid, scanner.messages(), longest)
            });
        });
    }
}
