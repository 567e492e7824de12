//! A message and two sockets, on their way through the channel.
//!
//! What is too long for the channel goes in a file without a name, as a third descriptor.

use core::mem::{self, MaybeUninit};
use core::ptr;

use nginx_sys::ngx_log_t;
use websocket_protocol::handover;

use super::channel;
use super::memory::Memory;

/// Both sockets of a tunnel, which nobody else of this process has.
pub struct Sockets {
    pub client: Descriptor,
    pub upstream: Descriptor,
}

/// A descriptor that is closed when it is kept no longer.
pub struct Descriptor(libc::c_int);

impl Descriptor {
    /// A copy of another. `None`: there are no more.
    pub fn copy(of: libc::c_int) -> Option<Self> {
        // SAFETY: a descriptor of this process.
        let copy = unsafe { libc::fcntl(of, libc::F_DUPFD_CLOEXEC, 0) };
        (copy >= 0).then_some(Self(copy))
    }

    pub fn get(&self) -> libc::c_int {
        self.0
    }

    /// It is the caller's from here on.
    pub fn give(self) -> libc::c_int {
        let Self(descriptor) = self;
        mem::forget(self);
        descriptor
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it is this one's alone.
        unsafe { libc::close(self.0) };
    }
}

pub struct Parcel {
    pub message: Memory,
    pub sockets: Sockets,
}

/// What came out of the channel.
pub enum Received {
    Nothing,
    Parcel(Parcel),
    /// Something that is none, or for which there was no memory. Its descriptors are closed.
    Lost,
}

/// The longest message that goes through the channel itself.
const LONGEST: usize = 32 << 10;

/// Two sockets and a file.
pub const MOST_DESCRIPTORS: usize = 3;

/// Room for them, as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);
const _: () = assert!(size_of::<Control>() >= control_space(MOST_DESCRIPTORS) as usize);

const fn control_space(descriptors: usize) -> libc::c_uint {
    // SAFETY: a computation.
    unsafe { libc::CMSG_SPACE((descriptors * size_of::<libc::c_int>()) as libc::c_uint) }
}

impl Parcel {
    /// Sends it. Whether it is gone: else there may be room later.
    pub fn send(&self) -> bool {
        let message = self.message.bytes();
        let sockets = [self.sockets.client.get(), self.sockets.upstream.get()];
        if message.len() <= LONGEST {
            return send(message, &sockets);
        }
        let [client, upstream] = sockets;
        // What is in it is said by that it is there.
        file_of(message).is_some_and(|file| send(IN_FILE, &[client, upstream, file.get()]))
    }
}

const IN_FILE: &[u8] = b"file";

fn send(bytes: &[u8], descriptors: &[libc::c_int]) -> bool {
    let mut control = Control([0; 64]);
    let mut piece = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: zeros are a header of which nothing is known; what it is given stays as long as the call, and
    // there is room for as many descriptors as there are at most.
    let sent = unsafe {
        let mut header: libc::msghdr = mem::zeroed();
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut control).cast();
        header.msg_controllen = control_space(descriptors.len()) as _;
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        if first.is_null() {
            return false;
        }
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(size_of_val(descriptors) as libc::c_uint) as _;
        let place = libc::CMSG_DATA(first);
        ptr::copy_nonoverlapping(descriptors.as_ptr().cast(), place, size_of_val(descriptors));
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        libc::sendmsg(channel::sending(), &raw const header, flags)
    };
    usize::try_from(sent) == Ok(bytes.len())
}

fn file_of(bytes: &[u8]) -> Option<Descriptor> {
    // SAFETY: the name is a string, and the bytes are as many.
    unsafe {
        let name = c"websocket_handover_message";
        let file = libc::syscall(libc::SYS_memfd_create, name.as_ptr(), libc::MFD_CLOEXEC);
        let file = libc::c_int::try_from(file).ok().filter(|file| *file >= 0)?;
        let file = Descriptor(file);
        let written = libc::pwrite(file.get(), bytes.as_ptr().cast(), bytes.len(), 0);
        (usize::try_from(written) == Ok(bytes.len())).then_some(file)
    }
}

/// Receives the next one.
pub fn receive(log: *mut ngx_log_t) -> Received {
    let Some(mut memory) = Memory::new(LONGEST, log) else {
        return Received::Nothing;
    };
    let Some((count, descriptors)) = receive_into(memory.bytes_mut()) else {
        return Received::Nothing;
    };
    memory.shorten(count);
    let [Some(client), Some(upstream), file] = descriptors else {
        return Received::Lost;
    };
    let message = match file {
        None => Memory::of(memory.bytes(), log),
        Some(file) => read_all(&file, log),
    };
    match message {
        Some(message) => Received::Parcel(Parcel {
            message,
            sockets: Sockets { client, upstream },
        }),
        None => Received::Lost,
    }
}

fn receive_into(room: &mut [u8]) -> Option<(usize, [Option<Descriptor>; MOST_DESCRIPTORS])> {
    let mut control = MaybeUninit::<Control>::zeroed();
    let mut piece = libc::iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: room.len(),
    };
    let mut descriptors = [const { None }; MOST_DESCRIPTORS];
    // SAFETY: as in send(); the kernel writes no more than it has room for, and says how much. What it writes
    // is a row of headers, each with as many descriptors as its length has room for.
    unsafe {
        let mut header: libc::msghdr = mem::zeroed();
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control_space(MOST_DESCRIPTORS) as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let count = libc::recvmsg(channel::receiving(), &raw mut header, flags);
        let count = usize::try_from(count).ok().filter(|count| *count > 0)?;
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        if let Some(rights) = first.as_ref() {
            let is_rights =
                rights.cmsg_level == libc::SOL_SOCKET && rights.cmsg_type == libc::SCM_RIGHTS;
            let length = rights.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            let numbers = libc::CMSG_DATA(first).cast::<libc::c_int>();
            let found = if is_rights {
                length / size_of::<libc::c_int>()
            } else {
                0
            };
            for (at, place) in descriptors.iter_mut().take(found).enumerate() {
                *place = Some(Descriptor(numbers.add(at).read_unaligned()));
            }
        }
        Some((count, descriptors))
    }
}

/// What a file holds, if it can be a message.
fn read_all(file: &Descriptor, log: *mut ngx_log_t) -> Option<Memory> {
    // SAFETY: of any descriptor this tells the size.
    let size = unsafe { libc::lseek(file.get(), 0, libc::SEEK_END) };
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= handover::MOST)?;
    let mut memory = Memory::new(size, log)?;
    // SAFETY: there is room for so many bytes.
    let read = unsafe { libc::pread(file.get(), memory.bytes_mut().as_mut_ptr().cast(), size, 0) };
    (usize::try_from(read) == Ok(size)).then_some(memory)
}
