//! A level of the configuration as it begins, and what it inherits.

use core::cell::Cell;
use core::ffi::{c_char, c_void};
use core::ptr;

use nginx_sys::{
    NGX_LOG_ERR, ngx_conf_t, ngx_http_conf_ctx_t, ngx_msec_t, ngx_pcalloc, ngx_uint_t,
};
use websocket_protocol::Strictness;
use websocket_zone::LabelId;

use super::location::Level;
use super::note::Notes;
use super::twins::Twins;
use super::words::DEFAULT_PING_TIMEOUT;
use super::{LocationConf, MainConf};
use crate::nginx::conf::Place;
use crate::nginx::{conf, string};
use crate::types::{
    LONGEST_TIMEOUT, LargeBuffers, MaxLifetime, MaxMessageRate, OtherUpgrades, SERVICE_RESTART,
    TO_CLIENT, Verify,
};

/// `websocket_timeout` when it is not written, milliseconds.
const DEFAULT_TIMEOUT: ngx_msec_t = 60 * 60 * 1000;

/// `websocket_large_buffers` likewise.
const DEFAULT_LARGE_BUFFERS: LargeBuffers = LargeBuffers {
    number: 4,
    size: 256 * 1024,
};

/// `create_loc_conf`: everything unset.
pub unsafe extern "C" fn create(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx gives a valid cf; ngx_pcalloc() aligns to NGX_ALIGNMENT.
    let conf = unsafe { ngx_pcalloc((*cf).pool, size_of::<LocationConf>()) }.cast::<LocationConf>();
    if conf.is_null() {
        return ptr::null_mut();
    }
    let unset = LocationConf {
        websocket: conf::UNSET_FLAG,
        http2: conf::UNSET_FLAG,
        handshake: conf::UNSET,
        other_upgrades: conf::UNSET,
        timeout: conf::UNSET,
        verify: conf::UNSET,
        log_level: conf::UNSET,
        log_open: conf::UNSET_FLAG,
        cause_header: conf::UNSET_FLAG,
        allow_origin: ptr::without_provenance_mut(conf::UNSET),
        tunnel: conf::UNSET_FLAG,
        buffer_size: conf::UNSET,
        buffers: conf::UNSET_FLAG,
        send_lowat: conf::UNSET,
        large_buffers: LargeBuffers::UNSET,
        ping_interval: conf::UNSET,
        ping_timeout: conf::UNSET,
        ping_to: conf::UNSET,
        max_lifetime: None,
        max_message_size: -1,
        rate: conf::UNSET,
        message_rate: None,
        message_timeout: conf::UNSET,
        drain: conf::UNSET,
        drain_code: conf::UNSET,
        upstream_drain: conf::UNSET,
        upstream_drain_code: conf::UNSET,
        advice: conf::UNSET_FLAG,
        status: conf::UNSET,
        control: conf::UNSET_FLAG,
        answers_at: Place::NOWHERE,
        close_path: Cell::new(string::EMPTY),
        label_text: string::EMPTY,
        notes: Notes::none(),
        level: Level {
            above: ptr::null(),
            location: ptr::null_mut(),
            server: ptr::null_mut(),
        },
        twins: Cell::new(Twins {
            handshake: ptr::null_mut(),
            stripped: ptr::null_mut(),
            apart: false,
            sets_handshake: false,
        }),
        label: Cell::new(LabelId::OTHER),
    };
    // SAFETY: fresh memory of the right size.
    unsafe { conf.write(unset) };
    conf.cast()
}

/// `merge_loc_conf`: what is unset comes from the level above.
pub unsafe extern "C" fn merge(
    cf: *mut ngx_conf_t,
    above: *mut c_void,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: nginx gives two different structures made by create().
    let (above, this) = unsafe {
        (
            &*above.cast::<LocationConf>(),
            &mut *conf.cast::<LocationConf>(),
        )
    };

    conf::merge(&mut this.websocket, above.websocket, conf::UNSET_FLAG, 0);
    conf::merge(&mut this.http2, above.http2, conf::UNSET_FLAG, 0);
    conf::merge(
        &mut this.handshake,
        above.handshake,
        conf::UNSET,
        Strictness::Safe as ngx_uint_t,
    );
    conf::merge(
        &mut this.other_upgrades,
        above.other_upgrades,
        conf::UNSET,
        OtherUpgrades::Strip as ngx_uint_t,
    );
    conf::merge(
        &mut this.timeout,
        above.timeout,
        conf::UNSET,
        DEFAULT_TIMEOUT,
    );
    conf::merge(
        &mut this.verify,
        above.verify,
        conf::UNSET,
        Verify::On as ngx_uint_t,
    );
    conf::merge(
        &mut this.log_level,
        above.log_level,
        conf::UNSET,
        NGX_LOG_ERR as ngx_uint_t,
    );
    conf::merge(&mut this.log_open, above.log_open, conf::UNSET_FLAG, 0);
    conf::merge(
        &mut this.cause_header,
        above.cause_header,
        conf::UNSET_FLAG,
        0,
    );
    conf::merge(
        &mut this.allow_origin,
        above.allow_origin,
        ptr::without_provenance_mut(conf::UNSET),
        ptr::null_mut(),
    );
    conf::merge(&mut this.tunnel, above.tunnel, conf::UNSET_FLAG, 1);
    conf::merge(
        &mut this.buffer_size,
        above.buffer_size,
        conf::UNSET,
        64 * 1024,
    );
    conf::merge(&mut this.buffers, above.buffers, conf::UNSET_FLAG, 64);
    conf::merge(&mut this.send_lowat, above.send_lowat, conf::UNSET, 0);
    conf::merge(
        &mut this.large_buffers,
        above.large_buffers,
        LargeBuffers::UNSET,
        DEFAULT_LARGE_BUFFERS,
    );
    conf::merge(
        &mut this.ping_interval,
        above.ping_interval,
        conf::UNSET,
        LONGEST_TIMEOUT,
    );
    conf::merge(
        &mut this.ping_timeout,
        above.ping_timeout,
        conf::UNSET,
        DEFAULT_PING_TIMEOUT,
    );
    conf::merge(&mut this.ping_to, above.ping_to, conf::UNSET, TO_CLIENT);
    conf::merge(
        &mut this.max_lifetime,
        above.max_lifetime,
        None,
        MaxLifetime::OFF,
    );
    conf::merge(&mut this.max_message_size, above.max_message_size, -1, 0);
    conf::merge(&mut this.rate, above.rate, conf::UNSET, 0);
    conf::merge(
        &mut this.message_rate,
        above.message_rate,
        None,
        MaxMessageRate::OFF,
    );
    conf::merge(
        &mut this.message_timeout,
        above.message_timeout,
        conf::UNSET,
        LONGEST_TIMEOUT,
    );
    conf::merge(&mut this.drain, above.drain, conf::UNSET, LONGEST_TIMEOUT);
    conf::merge(
        &mut this.drain_code,
        above.drain_code,
        conf::UNSET,
        SERVICE_RESTART.into(),
    );
    conf::merge(
        &mut this.upstream_drain,
        above.upstream_drain,
        conf::UNSET,
        LONGEST_TIMEOUT,
    );
    conf::merge(
        &mut this.upstream_drain_code,
        above.upstream_drain_code,
        conf::UNSET,
        SERVICE_RESTART.into(),
    );
    conf::merge(&mut this.advice, above.advice, conf::UNSET_FLAG, 1);
    if this.label_text.data.is_null() {
        this.label_text = above.label_text;
    }

    // SAFETY: nginx merges in the http context, with the level's own structures in it.
    unsafe {
        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        this.level = Level {
            above,
            location: (*context).loc_conf,
            server: (*context).srv_conf,
        };
        // Blocks within a location belong to it; nothing else inherits what answers there.
        if this.core().noname() != 0 {
            if this.status == conf::UNSET {
                this.status = above.status;
            }
            conf::merge(&mut this.control, above.control, conf::UNSET_FLAG, 0);
        }
        match MainConf::of(cf).note(this) {
            Some(()) => conf::OK,
            None => conf::ERROR,
        }
    }
}
