//! What a proxied location is given at configuration time, so that at run time nginx's own code
//! does the rest, whatever form its `proxy_pass` has.

use core::ptr;

use nginx_sys::{
    NGX_HTTP_VERSION_10, NGX_HTTP_VERSION_11, NGX_LOG_WARN, ngx_array_t, ngx_conf_t,
    ngx_http_upstream_param_t, ngx_uint_t,
};

use self::fields::{FIELDS, Field, Kind, Mismatch, Words};
use crate::location::Place;
use crate::log;
use crate::main_conf::MainConf;
use crate::nginx::{conf, pool, string};

pub mod fields;
mod rewrite;

pub use rewrite::PlainHeaders;

/// Since this version the proxy module speaks HTTP/1.1 and sends no `Connection` by default.
const KEEPALIVE_BY_DEFAULT: ngx_uint_t = 1_029_007;
const NGINX_VERSION: ngx_uint_t = nginx_sys::nginx_version as ngx_uint_t;

/// The `Connection` header the proxy module sends when no line of the user's says otherwise.
pub const DEFAULT_CONNECTION: &[u8] = if NGINX_VERSION < KEEPALIVE_BY_DEFAULT {
    b"close"
} else {
    b""
};

const DEFAULT_VERSION: usize = if NGINX_VERSION < KEEPALIVE_BY_DEFAULT {
    NGX_HTTP_VERSION_10 as usize
} else {
    NGX_HTTP_VERSION_11 as usize
};

/// What a level of the configuration would be without this module, and whether it was changed.
#[derive(Clone, Copy)]
pub struct Injection {
    pub originals: Words,
    pub proxies: bool,
    injected: bool,
    pub plain: Option<&'static PlainHeaders>,
}

/// An array that was rewritten, so that locations with the same source share one.
#[derive(Clone, Copy)]
pub struct Rewritten {
    field: usize,
    source: usize,
    result: usize,
    plain: Option<&'static PlainHeaders>,
}

/// A refused configuration. `None`: nginx has said why.
pub type Refusal = Option<Mismatch>;

impl Injection {
    pub const fn new() -> Self {
        Self {
            originals: fields::UNSET,
            proxies: false,
            injected: false,
            plain: None,
        }
    }

    /// Takes what was written at http level, which no merge is called for.
    ///
    /// # Safety
    /// `cf` must be in the http context.
    pub unsafe fn read_http_level(&mut self, cf: *mut ngx_conf_t, main: &MainConf) {
        for (found, original) in main.places.found.iter().zip(&mut self.originals) {
            if let Some(found) = found {
                // SAFETY: the caller vouches for cf.
                *original = unsafe { *found.word(cf) };
            }
        }
    }
}

/// Called for each location before the proxying modules merge it: injects where the location is on
/// and proxies, and gives the originals back below a location that was injected.
///
/// # Safety
/// `cf` must be the one nginx merges the location with.
pub unsafe fn merge(
    cf: *mut ngx_conf_t,
    on: bool,
    written: Place,
    above: &Injection,
    this: &mut Injection,
) -> Result<(), Refusal> {
    // SAFETY: the caller vouches for cf.
    let (core, main) = unsafe { (conf::core_location(cf), MainConf::of(cf)) };
    // The blocks `if` and `limit_except` run the handler of the location around them.
    this.proxies = core.handler.is_some() || (core.noname() != 0 && above.proxies);
    this.injected = on && this.proxies;

    if let (true, Some(mismatch)) = (this.injected, main.places.mismatch) {
        return Err(Some(mismatch));
    }
    let words = this.originals.iter_mut().zip(&above.originals);
    let places = FIELDS.iter().zip(&main.places.found);
    for (index, ((field, found), (original, inherited))) in places.zip(words).enumerate() {
        let Some(found) = found else { continue };
        // SAFETY: the caller vouches for cf.
        let word = unsafe { found.word(cf) };
        let own = *word != field.unset();
        *original = if own { *word } else { *inherited };

        if this.injected {
            if field.kind == Kind::Version {
                // SAFETY: as above.
                unsafe { warn_of_version(cf, *original, written) };
            }
            // SAFETY: as above; `original` is what nginx itself keeps in this field.
            let rewritten = unsafe { rewrite(cf, main, index, field, *original) }.ok_or(None)?;
            if let Some(rewritten) = rewritten {
                *word = rewritten.result;
                this.plain = this.plain.or(rewritten.plain);
            }
        } else if above.injected && !own {
            // SAFETY: as above.
            *word = unsafe { restore(cf, field, *original) }.ok_or(None)?;
        }
    }
    Ok(())
}

/// A field's new word for a location that is on; `Some(None)` where it is to stay. `None` when
/// nginx has said why not.
///
/// # Safety
/// `cf` must be valid, and `source` the word that nginx keeps in this field.
unsafe fn rewrite(
    cf: *mut ngx_conf_t,
    main: &MainConf,
    index: usize,
    field: &Field,
    source: usize,
) -> Option<Option<Rewritten>> {
    // SAFETY: an array of these, made with the main conf.
    let done = unsafe { pool::elements::<Rewritten>(main.rewritten) };
    if let Some(rewritten) = done.iter().find(|r| r.field == index && r.source == source) {
        return Some(Some(*rewritten));
    }
    let array: *const ngx_array_t = if source == field.unset() {
        ptr::null()
    } else {
        ptr::with_exposed_provenance(source)
    };
    // SAFETY: in these kinds the word is a pointer to an array of what the kind says.
    let (result, plain) = unsafe {
        match field.kind {
            Kind::Version => (NGX_HTTP_VERSION_11 as usize, None),
            Kind::Params => (rewrite::params(cf, array)?.expose_provenance(), None),
            Kind::Predicates => (rewrite::predicates(cf, array)?.expose_provenance(), None),
            Kind::Headers => {
                let (array, plain) = rewrite::headers(cf, array)?;
                (array.expose_provenance(), Some(plain))
            }
            Kind::Value | Kind::Length | Kind::Flag => return Some(None),
        }
    };
    let rewritten = Rewritten {
        field: index,
        source,
        result,
        plain,
    };
    // SAFETY: an array of these, made with the main conf.
    unsafe { pool::push(main.rewritten, rewritten) }?;
    Some(Some(rewritten))
}

/// The word that makes a field what it would be without this module, below a location that was
/// injected: leaving it unset would inherit the injection.
///
/// # Safety
/// `cf` must be valid.
unsafe fn restore(cf: *mut ngx_conf_t, field: &Field, original: usize) -> Option<usize> {
    if original != field.unset() {
        return Some(original);
    }
    match field.kind {
        Kind::Version => Some(DEFAULT_VERSION),
        Kind::Headers | Kind::Predicates => Some(0),
        // Here unset is NULL, so that only an array of none says "none".
        Kind::Params => {
            // SAFETY: cf is valid.
            let none = unsafe { pool::array::<ngx_http_upstream_param_t>((*cf).pool, 1) }?;
            Some(none.expose_provenance())
        }
        Kind::Value | Kind::Length | Kind::Flag => Some(original),
    }
}

/// Says that a version written in or above the location does not hold in it.
///
/// # Safety
/// `cf` must be the one nginx merges the location with.
unsafe fn warn_of_version(cf: *mut ngx_conf_t, version: usize, written: Place) {
    let version = match version {
        1000 => "1.0",
        2000 => "2",
        _ => return,
    };
    // SAFETY: the caller vouches for cf; a location's name lives as long as the configuration.
    let (elsewhere, name) = unsafe {
        (
            fields::passes_elsewhere(cf),
            string::bytes(&conf::core_location(cf).name),
        )
    };
    if elsewhere {
        return;
    }
    log::configuration(
        cf,
        NGX_LOG_WARN,
        written,
        format_args!(
            "\"proxy_http_version {version}\" is ignored in location \"{}\": \"websocket on\" \
             needs HTTP/1.1 to the upstream",
            name.escape_ascii()
        ),
    );
}
