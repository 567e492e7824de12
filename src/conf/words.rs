//! How the words of directives are read. A word that is refused is named together with its directive
//! and what may stand in its place.

use core::ffi::{c_char, c_void};
use core::{fmt, ptr, str};

use nginx_sys::{
    ngx_array_t, ngx_command_t, ngx_conf_enum_t, ngx_conf_set_enum_slot, ngx_conf_set_flag_slot,
    ngx_conf_t, ngx_int_t, ngx_msec_t, ngx_parse_offset, ngx_parse_size, ngx_str_t, ngx_uint_t,
    off_t,
};

use super::once::{noted, once};
use super::refuse::{refuse, repeated, unknown};
use super::{LocationConf, origin};
use crate::nginx::string::{self, Text};
use crate::nginx::{clock, conf};
use crate::types::{LONGEST_TIMEOUT, TO_CLIENT, TO_UPSTREAM};

pub const DEFAULT_PING_TIMEOUT: ngx_msec_t = 10_000;

/// More of anything nobody can mean.
pub(super) const MOST: u32 = 1_000_000;

/// What a size has to be, and a time.
pub(super) const SIZES: &str = "a size from 1k to 1024m";
pub(super) const TIMES: &str = "a time from 1ms to 365000d, such as \"30s\"";

const SMALLEST_SIZE: usize = 1 << 10;
const LARGEST_SIZE: usize = 1 << 30;
const LARGEST_MESSAGE: off_t = 1 << 40;
const LONGEST_TIME: ngx_msec_t = 1000 * 365 * 24 * 60 * 60 * 1000;

/// `on | off`, which nginx's own setter names where it refuses.
pub unsafe extern "C" fn set_flag(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx calls a setter with its own location structure and the file being read.
    unsafe { noted(cf, command, conf, ngx_conf_set_flag_slot) }
}

/// One word of the table behind the command.
pub unsafe extern "C" fn set_choice(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in set_flag(); the command of this setter has such a table.
    unsafe {
        let choices = Choices((*command).post.cast());
        let word = conf::words(cf).get(1).map(|word| string::bytes(word));
        if word.is_some_and(|word| !choices.contain(word)) {
            return refuse(cf, format_args!("{choices}"));
        }
        noted(cf, command, conf, ngx_conf_set_enum_slot)
    }
}

/// A time, or `off`. Zero would end every tunnel at once, so it is refused.
pub unsafe extern "C" fn set_time_or_off(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in set_flag(); the command's offset is that of a time.
    unsafe {
        let field = field(command, conf);
        once(cf, command, conf, field, conf::UNSET, |words| {
            match words.first() {
                b"off" => Ok(LONGEST_TIMEOUT),
                text => {
                    parse_time(text).ok_or_else(|| refuse(cf, format_args!("{TIMES}, or \"off\"")))
                }
            }
        })
    }
}

/// `number`
pub unsafe extern "C" fn set_number(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in set_flag(); the command's offset is that of a number.
    unsafe {
        let field = field(command, conf);
        once(cf, command, conf, field, conf::UNSET_FLAG, |words| {
            let number = parse_number(words.first()).map(|number| number as ngx_int_t);
            number.ok_or_else(|| refuse(cf, format_args!("a number from 0 to {MOST}")))
        })
    }
}

/// `size`
pub unsafe extern "C" fn set_size(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in set_flag(); the command's offset is that of a size.
    unsafe {
        let field = field(command, conf);
        once(cf, command, conf, field, conf::UNSET, |words| {
            parse_size(words.first()).ok_or_else(|| refuse(cf, format_args!("{SIZES}")))
        })
    }
}

/// `size`, which may be large; 0 is no limit.
pub unsafe extern "C" fn set_message_size(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    let expected = "a size up to 1024g, such as \"1m\", or 0 for no limit";
    // SAFETY: as in set_flag(); the command's offset is that of such a size, and a text is only read.
    unsafe {
        let field = field(command, conf);
        once(cf, command, conf, field, -1, |words| {
            let mut text = string::borrowed(words.first());
            let size = ngx_parse_offset(&raw mut text);
            let is_fit = (0..=LARGEST_MESSAGE).contains(&size);
            is_fit
                .then_some(size)
                .ok_or_else(|| refuse(cf, format_args!("{expected}")))
        })
    }
}

/// `size` per second; 0 is no limit.
pub unsafe extern "C" fn set_rate(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    let expected = "a size per second up to 1024m, such as \"128k\", or 0 for no limit";
    // SAFETY: as in set_flag(); the command's offset is that of a size.
    unsafe {
        let field = field(command, conf);
        once(cf, command, conf, field, conf::UNSET, |words| {
            let size = parse_any_size(words.first());
            size.ok_or_else(|| refuse(cf, format_args!("{expected}")))
        })
    }
}

/// `off | interval [timeout=time] [to=client|upstream|both]`
pub unsafe extern "C" fn set_ping(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in set_flag().
    let rv = unsafe { set_time_or_off(cf, command, conf) };
    if rv != conf::OK {
        return rv;
    }
    // SAFETY: as above.
    let (this, words) = unsafe { (&mut *conf.cast::<LocationConf>(), conf::words(cf)) };
    let (mut timeout, mut to) = (None, None);
    for word in words.iter().skip(2) {
        // SAFETY: a word of the configuration.
        let text = unsafe { string::bytes(word) };
        let known = if let Some(text) = text.strip_prefix(b"timeout=") {
            parse_time(text).map(|time| timeout.replace(time).is_some())
        } else if let Some(text) = text.strip_prefix(b"to=") {
            parse_sides(text).map(|sides| to.replace(sides).is_some())
        } else {
            None
        };
        match known {
            Some(false) => {}
            Some(true) => return repeated(cf, text),
            None => {
                let choices = "it must be \"timeout=time\", with a time from 1ms to 365000d, \
                               or \"to=client\", \"to=upstream\" or \"to=both\"";
                return unknown(cf, text, choices);
            }
        }
    }
    this.ping_timeout = timeout.unwrap_or(DEFAULT_PING_TIMEOUT);
    this.ping_to = to.unwrap_or(TO_CLIENT);
    conf::OK
}

/// `none | same | null | origin | ~regex ...`
pub unsafe extern "C" fn set_allow_origin(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    let unset = ptr::without_provenance_mut(conf::UNSET);
    // SAFETY: as in set_flag(); the command's offset is that of an array.
    unsafe {
        let field = field::<*mut ngx_array_t>(command, conf);
        once(cf, command, conf, field, unset, |words| {
            origin::parse(cf, words.all).ok_or(conf::ERROR)
        })
    }
}

/// The field that a directive sets.
///
/// # Safety
/// Both must be what nginx gave to the directive's setter, and the field of this type.
unsafe fn field<T>(command: *const ngx_command_t, conf: *mut c_void) -> *mut T {
    // SAFETY: the caller vouches for both.
    unsafe { conf.byte_add((*command).offset).cast() }
}

/// Milliseconds, as [`TIMES`] says.
pub(super) fn parse_time(text: &[u8]) -> Option<ngx_msec_t> {
    clock::parse_time(text).filter(|time| (1..=LONGEST_TIME).contains(time))
}

/// Bytes, as [`SIZES`] says.
pub(super) fn parse_size(text: &[u8]) -> Option<usize> {
    parse_any_size(text).filter(|size| *size >= SMALLEST_SIZE)
}

/// Likewise, or less.
fn parse_any_size(text: &[u8]) -> Option<usize> {
    let mut text = string::borrowed(text);
    // SAFETY: the text is valid and is only read.
    let size = unsafe { ngx_parse_size(&raw mut text) };
    usize::try_from(size)
        .ok()
        .filter(|size| *size <= LARGEST_SIZE)
}

/// A number up to [`MOST`].
pub(super) fn parse_number(digits: &[u8]) -> Option<u32> {
    parse_digits(digits).filter(|number| *number <= MOST)
}

pub(super) fn parse_digits(digits: &[u8]) -> Option<u32> {
    let is_plain = digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits)
        .ok()
        .filter(|_| is_plain)?
        .parse()
        .ok()
}

/// Bits of `TO_…`.
fn parse_sides(text: &[u8]) -> Option<ngx_uint_t> {
    match text {
        b"client" => Some(TO_CLIENT),
        b"upstream" => Some(TO_UPSTREAM),
        b"both" => Some(TO_CLIENT | TO_UPSTREAM),
        _ => None,
    }
}

/// A table of words that ends with an empty one.
struct Choices(*const ngx_conf_enum_t);

impl Choices {
    fn iter(&self) -> impl Iterator<Item = &'static [u8]> {
        let mut next = self.0;
        core::iter::from_fn(move || {
            // SAFETY: not past the table's end, which is an empty name; names are constants.
            let name: &ngx_str_t = unsafe { &(*next).name };
            // SAFETY: this was not the last.
            next = unsafe { next.add(usize::from(name.len > 0)) };
            // SAFETY: as above.
            (name.len > 0).then(|| unsafe { string::bytes(name) })
        })
    }

    fn contain(&self, word: &[u8]) -> bool {
        self.iter().any(|choice| choice.eq_ignore_ascii_case(word))
    }
}

/// `"strip", "pass" or "reject"`
impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut choices = self.iter().enumerate().peekable();
        while let Some((at, choice)) = choices.next() {
            let between = match (at, choices.peek()) {
                (0, _) => "",
                (_, Some(_)) => ", ",
                (_, None) => " or ",
            };
            write!(f, "{between}\"{}\"", Text(choice))?;
        }
        Ok(())
    }
}
