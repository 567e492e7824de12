//! Flow control of a stream (RFC 9113 section 5.2): how much the client may still send.

/// What a stream's client may send, and what it has.
///
/// All of the window's bytes are in one of three places: the client may send them, they came and are held, or
/// they were passed on and the client is to be told. So a stream that is not read holds no more than its window,
/// and no byte of it is lost.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveWindow {
    /// Bytes that the client may send.
    open: u32,
    /// Bytes that it has sent, and that are not passed on.
    held: u32,
    /// Bytes that were passed on, and that it has not been told of.
    owed: u32,
}

/// The client has sent more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun;

impl ReceiveWindow {
    /// The most that a window can be.
    pub const MAX: u32 = (1 << 31) - 1;

    /// That of a new stream: what the connection's settings say.
    pub const fn new(initial: u32) -> Self {
        Self {
            open: if initial < Self::MAX {
                initial
            } else {
                Self::MAX
            },
            held: 0,
            owed: 0,
        }
    }

    /// Makes it as large as this, if it is smaller. The client is to be told.
    pub fn grow(&mut self, size: u32) {
        let missing = size.min(Self::MAX).saturating_sub(self.size());
        self.owed = self.owed.saturating_add(missing);
    }

    /// All of it.
    pub const fn size(&self) -> u32 {
        self.open
            .saturating_add(self.held)
            .saturating_add(self.owed)
    }

    /// Bytes that came and are held.
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// So many bytes have come, padding included.
    pub fn received(&mut self, count: u32) -> Result<(), Overrun> {
        self.open = self.open.checked_sub(count).ok_or(Overrun)?;
        self.held = self.held.saturating_add(count);
        Ok(())
    }

    /// So many of them are passed on, or were padding.
    pub fn passed_on(&mut self, count: u32) {
        let count = count.min(self.held);
        self.held -= count;
        self.owed = self.owed.saturating_add(count);
    }

    /// What the client is to be told now, if anything: it is told of half a window at once, or of all that it could
    /// need before it has to stop.
    pub fn update(&mut self) -> Option<u32> {
        if self.owed == 0 || (self.owed < self.size() / 2 && self.open >= self.size() / 4) {
            return None;
        }
        let increment = self.owed;
        self.open = self.open.saturating_add(increment);
        self.owed = 0;
        Some(increment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_send_what_its_window_has_room_for() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!(window.received(60), Ok(()));
        assert_eq!(window.received(41), Err(Overrun));
        assert_eq!(window.received(40), Ok(()));
        assert_eq!(window.received(1), Err(Overrun));
        assert_eq!(window.received(0), Ok(()));
    }

    #[test]
    fn what_is_not_passed_on_stays_closed() {
        let mut window = ReceiveWindow::new(100);
        window.received(100).unwrap();
        assert_eq!(window.update(), None);
        assert_eq!(window.held(), 100);
    }

    #[test]
    fn the_client_is_told_of_half_a_window_at_once() {
        let mut window = ReceiveWindow::new(100);
        window.received(60).unwrap();
        window.passed_on(49);
        assert_eq!(window.update(), None, "40 are still open");
        window.passed_on(1);
        assert_eq!(window.update(), Some(50));
        assert_eq!(window.update(), None);
        assert_eq!(window.received(90), Ok(()));
    }

    #[test]
    fn it_is_told_of_less_before_it_has_to_stop() {
        let mut window = ReceiveWindow::new(100);
        window.received(80).unwrap();
        window.passed_on(1);
        assert_eq!(window.update(), Some(1));
    }

    #[test]
    fn a_window_grows_once() {
        let mut window = ReceiveWindow::new(10);
        window.received(10).unwrap();
        window.grow(100);
        assert_eq!(window.size(), 100);
        assert_eq!(window.update(), Some(90));
        window.grow(100);
        assert_eq!(window.update(), None);
        window.grow(50);
        assert_eq!(window.size(), 100);
    }

    #[test]
    fn a_window_of_nothing_opens_when_it_grows() {
        let mut window = ReceiveWindow::new(0);
        assert_eq!(window.received(1), Err(Overrun));
        window.grow(u32::MAX);
        assert_eq!(window.update(), Some(ReceiveWindow::MAX));
    }

    #[test]
    fn more_is_never_passed_on_than_came() {
        let mut window = ReceiveWindow::new(100);
        window.received(10).unwrap();
        window.passed_on(u32::MAX);
        assert_eq!((window.held(), window.size()), (0, 100));
    }
}
