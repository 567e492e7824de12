//! What becomes of a panic: a line in nginx's log that says where, and the end of the process.
//!
//! There is no other way on: the module is called from C, and what it was changing is half done.
//! nginx's master starts another worker in the place of one that ended.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use nginx_sys::{NGX_LOG_ALERT, ngx_cycle, ngx_log_error_core, ngx_uint_t};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    // The message may itself panic as it is formatted; then there is nothing to say.
    if !PANICKING.load(Ordering::Relaxed) {
        PANICKING.store(true, Ordering::Relaxed);
        report(info);
    }
    // SAFETY: always; abort() has no conditions and does not return.
    unsafe { libc::abort() }
}

fn report(info: &PanicInfo<'_>) {
    // SAFETY: nginx sets ngx_cycle before it loads a module, and never to what is not a cycle;
    // it has one thread that runs modules.
    let Some(cycle) = (unsafe { ngx_cycle.as_ref() }) else {
        return;
    };
    if cycle.log.is_null() {
        return;
    }
    let mut line = Line::new();
    // What doesn't fit is left out.
    let _ = match info.location() {
        Some(place) => write!(line, "panicked at {place}: {}", info.message()),
        None => write!(line, "panicked: {}", info.message()),
    };
    let text = line.text();
    // SAFETY: the log is the cycle's; "%*s" takes a length and that many bytes.
    unsafe {
        ngx_log_error_core(
            NGX_LOG_ALERT as ngx_uint_t,
            cycle.log,
            0,
            c"%*s".as_ptr(),
            text.len(),
            text.as_ptr(),
        );
    }
}

/// One line of text, on the stack: an allocation may be what has failed.
struct Line {
    bytes: [u8; Self::SIZE],
    length: usize,
}

impl Line {
    /// nginx cuts a line of its log at 2048 bytes, and puts something before the text.
    const SIZE: usize = 1024;

    const fn new() -> Self {
        Self {
            bytes: [0; Self::SIZE],
            length: 0,
        }
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (to, byte) in free.iter_mut().zip(text.bytes()) {
            // It stays one line.
            *to = if byte == b'\n' { b' ' } else { byte };
        }
        self.length += text.len().min(free.len());
        Ok(())
    }
}
