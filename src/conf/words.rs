//! How the words of directives are read. A word that is refused is named together with its directive
//! and what may stand in its place.

use core::ffi::{CStr, c_char, c_void};
use core::fmt;

use nginx_sys::{
    NGX_LOG_EMERG, ngx_array_t, ngx_command_t, ngx_conf_enum_t, ngx_conf_set_enum_slot,
    ngx_conf_set_flag_slot, ngx_conf_set_num_slot, ngx_conf_set_off_slot, ngx_conf_set_size_slot,
    ngx_conf_t, ngx_msec_t, ngx_parse_size, ngx_str_t, ngx_uint_t,
};

use super::{LocationConf, origin};
use crate::nginx::string::{self, Text};
use crate::nginx::{clock, conf, log};
use crate::types::{LONGEST_TIMEOUT, TO_CLIENT, TO_UPSTREAM};

/// What nginx has a directive read by.
pub type Setter =
    unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

pub const DEFAULT_PING_TIMEOUT: ngx_msec_t = 10_000;

pub(super) const IS_DUPLICATE: &CStr = c"is duplicate";

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
    unsafe { noted(cf, command, conf, read_time_or_off) }
}

/// `number`
pub unsafe extern "C" fn set_number(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: as in set_flag().
    unsafe {
        slot(
            cf,
            command,
            conf,
            ngx_conf_set_num_slot,
            "a number, 0 or more",
        )
    }
}

/// `size`, which may be large; 0 is no limit.
pub unsafe extern "C" fn set_message_size(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    let expected = "a size, such as \"1m\", or 0 for no limit";
    // SAFETY: as in set_flag().
    unsafe { slot(cf, command, conf, ngx_conf_set_off_slot, expected) }
}

/// `size` per second; 0 is no limit.
pub unsafe extern "C" fn set_rate(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    let expected = "a size per second, such as \"128k\", or 0 for no limit";
    // SAFETY: as in set_flag().
    unsafe { slot(cf, command, conf, ngx_conf_set_size_slot, expected) }
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
                let choices = "it must be \"timeout=time\", with a time above zero, \
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
    // SAFETY: as in set_flag(); the command's offset is that of an array.
    unsafe { noted(cf, command, conf, read_origins) }
}

/// Has the directive read, and notes where it stands.
///
/// # Safety
/// The first three must be what nginx gave to the directive's setter, and `read` made for its field.
pub(super) unsafe fn noted(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
    read: Setter,
) -> *mut c_char {
    // SAFETY: the caller vouches for them.
    unsafe {
        let rv = read(cf, command, conf);
        if rv == conf::OK
            && (*conf.cast::<LocationConf>())
                .notes
                .add(cf, command)
                .is_none()
        {
            return conf::ERROR;
        }
        rv
    }
}

/// One of nginx's setters that don't say what they expect.
///
/// # Safety
/// As [`noted`].
pub(super) unsafe fn slot(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
    read: Setter,
    expected: &str,
) -> *mut c_char {
    // SAFETY: the caller vouches for them. A setter returns one of two marks or a constant text.
    unsafe {
        let rv = noted(cf, command, conf, read);
        if rv == conf::OK || rv == conf::ERROR || CStr::from_ptr(rv) == IS_DUPLICATE {
            return rv;
        }
        refuse(cf, format_args!("{expected}"))
    }
}

unsafe extern "C" fn read_time_or_off(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: the command's offset is that of a time in the structure nginx gives.
    let time = unsafe { &mut *conf.byte_add((*command).offset).cast::<ngx_msec_t>() };
    if *time != conf::UNSET {
        return IS_DUPLICATE.as_ptr().cast_mut();
    }
    // SAFETY: nginx has checked that there is a word after the name.
    let Some(word) = unsafe { conf::words(cf) }.get(1) else {
        return conf::ERROR;
    };
    // SAFETY: a word of the configuration.
    let parsed = match unsafe { string::bytes(word) } {
        b"off" => Some(LONGEST_TIMEOUT),
        text => parse_time(text),
    };
    match parsed {
        Some(parsed) => {
            *time = parsed;
            conf::OK
        }
        None => {
            let expected = "a time above zero, such as \"30s\", or \"off\"";
            refuse(cf, format_args!("{expected}"))
        }
    }
}

unsafe extern "C" fn read_origins(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: the command's offset is that of the array in the structure nginx gives.
    let origins = unsafe { &mut *conf.byte_add((*command).offset).cast::<*mut ngx_array_t>() };
    if *origins as usize != conf::UNSET {
        return IS_DUPLICATE.as_ptr().cast_mut();
    }
    // SAFETY: nginx calls a setter with the directive's words.
    match unsafe { origin::parse(cf, conf::words(cf)) } {
        Some(parsed) => {
            *origins = parsed;
            conf::OK
        }
        None => conf::ERROR,
    }
}

/// Milliseconds, more than none.
pub(super) fn parse_time(text: &[u8]) -> Option<ngx_msec_t> {
    clock::parse_time(text).filter(|&time| time > 0)
}

/// Bytes, at least so many.
pub(super) fn parse_size(text: &[u8], least: usize) -> Option<usize> {
    let mut text = string::borrowed(text);
    // SAFETY: the text is valid and is only read.
    let size = unsafe { ngx_parse_size(&raw mut text) };
    usize::try_from(size).ok().filter(|&size| size >= least)
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

/// Refuses the first word behind the directive's name, in nginx's own manner.
pub(super) fn refuse(cf: *mut ngx_conf_t, expected: fmt::Arguments<'_>) -> *mut c_char {
    // SAFETY: a directive is being read.
    let words = unsafe { conf::words(cf) };
    let word = |at: usize| {
        // SAFETY: a word of the configuration.
        let word = words.get(at).map(|word| unsafe { string::bytes(word) });
        Text(word.unwrap_or_default())
    };
    log::directive(
        cf,
        NGX_LOG_EMERG,
        format_args!(
            "invalid value \"{}\" in \"{}\" directive, it must be {expected}",
            word(1),
            word(0)
        ),
    );
    conf::ERROR
}

/// Refuses a parameter.
pub(super) fn unknown(cf: *mut ngx_conf_t, text: &[u8], choices: &str) -> *mut c_char {
    refuse_parameter(cf, "invalid", text, format_args!(", {choices}"))
}

pub(super) fn repeated(cf: *mut ngx_conf_t, text: &[u8]) -> *mut c_char {
    refuse_parameter(cf, "duplicate", text, format_args!(""))
}

pub(super) fn refuse_parameter(
    cf: *mut ngx_conf_t,
    how: &str,
    text: &[u8],
    more: fmt::Arguments<'_>,
) -> *mut c_char {
    // SAFETY: a directive is being read, and its name is a word of the configuration.
    let name = unsafe { conf::words(cf).first().map(|name| string::bytes(name)) };
    log::directive(
        cf,
        NGX_LOG_EMERG,
        format_args!(
            "{how} parameter \"{}\" in \"{}\" directive{more}",
            Text(text),
            Text(name.unwrap_or_default())
        ),
    );
    conf::ERROR
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
