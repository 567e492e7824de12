//! Whose `proxy_set_header` lines are not only for handshakes that `websocket on` opens.

use std::collections::HashSet;

use super::parse::Directive;
use super::pass::pass;

/// The blocks whose lines a location inherits that proxies without `websocket on`, or passes other
/// upgrades on.
#[derive(Default)]
pub struct Needed(HashSet<*const Directive>);

/// What is in force at a level.
#[derive(Clone, Copy, Default)]
struct Inherited<'a> {
    websocket: Option<&'a Directive>,
    other_upgrades: Option<&'a Directive>,
    /// The innermost block that has lines of its own.
    headers: Option<&'a [Directive]>,
}

impl Needed {
    pub fn of(http: &[Directive]) -> Self {
        let mut needed = Self::default();
        needed.below(http, Inherited::default());
        needed
    }

    /// Whether it is so for the lines of this block.
    pub fn has(&self, block: &[Directive]) -> bool {
        self.0.contains(&block.as_ptr())
    }

    fn below<'a>(&mut self, block: &'a [Directive], around: Inherited<'a>) {
        let inherited = around.within(block);
        let proxies = pass(block).is_some_and(|pass| pass.name == "proxy_pass");
        if proxies && inherited.needs() {
            self.0.extend(inherited.headers.map(<[Directive]>::as_ptr));
        }
        for line in block {
            if ["server", "location", "if"].contains(&line.name.as_str()) {
                self.below(line.children(), inherited);
            }
        }
    }
}

impl<'a> Inherited<'a> {
    fn within(self, block: &'a [Directive]) -> Self {
        let find = |name: &str| block.iter().find(|line| line.name == name);
        Self {
            websocket: find("websocket").or(self.websocket),
            other_upgrades: find("websocket_other_upgrades").or(self.other_upgrades),
            headers: find("proxy_set_header").map(|_| block).or(self.headers),
        }
    }

    fn needs(self) -> bool {
        let says = |line: Option<&Directive>, value| line.is_some_and(|line| line.says(value));
        !says(self.websocket, "on") || says(self.other_upgrades, "pass")
    }
}
