//! Listening sockets on their way from one process to the next, over a Unix socket that both have
//! (`SCM_RIGHTS`, <https://man7.org/linux/man-pages/man7/unix.7.html>).
//!
//! The socket itself is handed over, not its address: whoever waits in its queue is accepted by whoever has it. Each
//! goes in a message of its own, of one byte that says what it is.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Clients, by TCP.
    Tcp,
    /// Clients, by a Unix socket.
    Unix,
    /// The admin address.
    Admin,
}

/// Who has opened a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A process of ours, because its settings say so.
    Own,
    /// Whoever has started us, such as systemd.
    Given,
}

/// A listening socket that was opened elsewhere, or can be used elsewhere.
#[derive(Debug)]
pub struct Offer {
    /// What it is for.
    pub purpose: Purpose,
    /// Who has opened it.
    pub origin: Origin,
    /// The socket.
    pub socket: OwnedFd,
    /// The locked file that belongs to the name of a Unix socket of our own.
    pub lock: Option<OwnedFd>,
}

/// After the last socket.
const END: u8 = b'.';

const TAGS: [(u8, Purpose, Origin); 6] = [
    (b'T', Purpose::Tcp, Origin::Own),
    (b'U', Purpose::Unix, Origin::Own),
    (b'A', Purpose::Admin, Origin::Own),
    (b't', Purpose::Tcp, Origin::Given),
    (b'u', Purpose::Unix, Origin::Given),
    (b'a', Purpose::Admin, Origin::Given),
];

/// Hands copies of the sockets over.
pub fn send(to: &UnixStream, offers: &[Offer]) -> io::Result<()> {
    for offer in offers {
        let tag =
            TAGS.iter().find(|(_, purpose, origin)| (*purpose, *origin) == (offer.purpose, offer.origin));
        let tag = tag.map_or(END, |(tag, ..)| *tag);
        let fds: Vec<_> =
            [Some(&offer.socket), offer.lock.as_ref()].into_iter().flatten().map(AsFd::as_fd).collect();
        send_one(to, tag, &fds)?;
    }
    send_one(to, END, &[])
}

/// Takes all sockets that are handed over.
pub fn receive(from: &UnixStream) -> io::Result<Vec<Offer>> {
    let mut offers = Vec::new();
    loop {
        let (tag, fds) = receive_one(from)?;
        if tag == END {
            return Ok(offers);
        }
        let mut fds = fds.into_iter();
        let known = TAGS.iter().find(|(known, ..)| *known == tag);
        let (Some((_, purpose, origin)), Some(socket)) = (known, fds.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "sockets of a kind that is not known"));
        };
        offers.push(Offer { purpose: *purpose, origin: *origin, socket, lock: fds.next() });
    }
}

fn send_one(to: &UnixStream, tag: u8, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    sendmsg(to, &[IoSlice::new(&[tag])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive_one(from: &UnixStream) -> io::Result<(u8, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut tag = [0];
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut tag)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok((tag[0], fds.flatten().collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn whoever_waits_is_accepted_by_the_next() {
        let (old, new) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = TcpStream::connect(address).unwrap();
        let offers = [Offer {
            purpose: Purpose::Tcp,
            origin: Origin::Given,
            socket: listener.into(),
            lock: Some(tempfile::tempfile().unwrap().into()),
        }];
        send(&old, &offers).unwrap();
        drop(offers);
        let offer = receive(&new).unwrap().pop().unwrap();
        assert_eq!((offer.purpose, offer.origin, offer.lock.is_some()), (Purpose::Tcp, Origin::Given, true));
        let listener = TcpListener::from(offer.socket);
        assert_eq!(listener.accept().unwrap().1, waiting.local_addr().unwrap());
        drop(old);
        assert_eq!(receive(&new).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
