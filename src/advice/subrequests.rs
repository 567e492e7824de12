//! Internal locations that the subrequests of `auth_request` and `mirror` come to.

use core::ffi::CStr;
use core::{ptr, slice};

use nginx_sys::{ngx_array_t, ngx_conf_t, ngx_module_t, ngx_str_t};

use crate::conf::{LocationConf, MainConf};
use crate::inject::probe;
use crate::nginx::{conf, pool, string};

/// The modules that make subrequests, where this nginx has them.
pub struct Subrequests([Option<Maker>; 2]);

enum Maker {
    /// The structure of this index begins with an address.
    One(usize),
    /// It begins with an array of them.
    Many(usize),
    /// It isn't what it is known to be: any internal location may be meant.
    Unknown,
}

impl Subrequests {
    /// # Safety
    /// `cf` must be in the http context.
    pub unsafe fn find(cf: *mut ngx_conf_t) -> Self {
        // SAFETY: the caller vouches for cf.
        unsafe {
            let module = |name| conf::module((*cf).cycle, name);
            Self([
                module(c"ngx_http_auth_request_module").map(|module| Maker::of_one(cf, module)),
                module(c"ngx_http_mirror_module").map(|module| Maker::of_many(cf, module)),
            ])
        }
    }

    /// The levels within an internal location that one of their server's subrequests, as far as can be told from its
    /// name, comes to.
    pub fn targets<'a>(
        &'a self,
        main: &MainConf,
    ) -> impl Iterator<Item = *const LocationConf> + 'a {
        // nginx merges a server with all that is within before the next one.
        let servers = main.all().chunk_by(|level, other| level.is_beside(other));
        servers.flat_map(|levels| {
            let internal = levels.iter().filter(|level| level.core().internal == 1);
            let targets = internal.filter(|level| self.come_to(levels, level));
            targets.map(|level| ptr::from_ref(*level))
        })
    }

    /// `levels` are those of its server.
    fn come_to(&self, levels: &[&LocationConf], level: &LocationConf) -> bool {
        self.0.iter().flatten().any(|maker| {
            let mut addresses = levels.iter().flat_map(|other| maker.addresses(other));
            // SAFETY: a word of the configuration.
            let comes = |address| may_find(level, unsafe { string::bytes(address) });
            matches!(maker, Maker::Unknown) || addresses.any(comes)
        })
    }
}

/// A location is found by a prefix of the address, or by an expression, which is not tried here.
fn may_find(level: &LocationConf, address: &[u8]) -> bool {
    !address.is_empty() && (address.starts_with(level.name()) || level.has_expression())
}

impl Maker {
    /// # Safety
    /// `cf` must be in the http context.
    unsafe fn of_one(cf: *mut ngx_conf_t, module: &ngx_module_t) -> Self {
        // SAFETY: the caller vouches for cf. A structure with a text in it is as large as one.
        let first = unsafe {
            let probed = probe::run(cf, module, b"auth_request", WORD);
            probed.map(|probed| &*probed.location.cast::<ngx_str_t>())
        };
        match first {
            Some(address) if is_word(address) => Self::One(module.ctx_index),
            _ => Self::Unknown,
        }
    }

    /// # Safety
    /// `cf` must be in the http context.
    unsafe fn of_many(cf: *mut ngx_conf_t, module: &ngx_module_t) -> Self {
        // SAFETY: the caller vouches for cf. A field that is neither zero nor unset is what the
        // directive has made, which keeps all its words in an array.
        let all = unsafe {
            let probed = probe::run(cf, module, b"mirror", WORD);
            let array = probed.map(|probed| *probed.location.cast::<*const ngx_array_t>());
            let array = array.filter(|array| array.addr() != conf::UNSET);
            array.map(|array| pool::elements::<ngx_str_t>(array))
        };
        match all {
            Some(addresses) if addresses.iter().any(is_word) => Self::Many(module.ctx_index),
            _ => Self::Unknown,
        }
    }

    /// The addresses that a level's requests make subrequests to.
    fn addresses<'a>(&self, level: &'a LocationConf) -> &'a [ngx_str_t] {
        // SAFETY: it was seen what the structure begins with, and the level is merged.
        unsafe {
            match self {
                Self::Unknown => &[],
                Self::One(index) => slice::from_ref(&*level.of_module(*index).cast::<ngx_str_t>()),
                Self::Many(index) => {
                    pool::elements(*level.of_module(*index).cast::<*const ngx_array_t>())
                }
            }
        }
    }
}

/// What the directives are run with, to see where they put it.
const WORD: &CStr = c"/websocket";

fn is_word(text: &ngx_str_t) -> bool {
    ptr::eq(text.data.cast(), WORD.as_ptr())
}
