//! What works for a client while it has something going on, and is lent to another while it rests.
//!
//! Nearly all clients of a pooler are idle at any moment. What only work needs, the state of the future that serves a
//! session, its lists and its buffers, belongs to the worker therefore: a session takes it up when it is woken and gives
//! it back when nothing is left to do. So an idle client has little, and one that is at work asks for no memory.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;

use super::client::Client;
use super::contain::contain;
use super::failure::End;
use super::segment::Item;
use super::serve::{LONG, Session};
use super::statements::Prepared;
use super::summary::Blanks;
use crate::routing::ReplicaView;

/// Most desks a worker keeps for clients that come to work: more are at work at the same time only while there are more
/// clients than server connections, and then those that end leave theirs to those that begin.
const SPARE: usize = 64;

/// A client with its session.
pub(super) struct Served {
    pub(super) session: Box<Session>,
    pub(super) client: Client,
}

/// With how serving it ended: it rests (`Ok`), or its session is over.
type HandedBack = (Box<Served>, Result<(), End>);

/// Serves whoever it is handed, one client after the other.
type Work = Pin<Box<dyn Future<Output = Infallible> + Send>>;

/// What is lent: a future, and what the session and the client use while it serves them.
struct Desk {
    work: Work,
    blanks: Blanks,
    items: Vec<Item>,
    plan: Vec<Option<Arc<Prepared>>>,
    view: Vec<ReplicaView>,
    inbox: BytesMut,
    outbox: BytesMut,
}

thread_local! {
    // Of this worker: sessions do not move between threads.
    static SPARES: RefCell<Vec<Desk>> = const { RefCell::new(Vec::new()) };
    // From who hands a client over to the future, and back, within one poll: moving a box is cheaper than making a future
    // anew where the last one was.
    static HANDED: Cell<Option<Box<Served>>> = const { Cell::new(None) };
    static HANDED_BACK: Cell<Option<HandedBack>> = const { Cell::new(None) };
}

/// Serves a client until its session or the proxy ends. Not cancel safe: the session ends with it.
pub(super) async fn serve(mut served: Box<Served>) -> (Box<Served>, End) {
    poll_fn(|cx| {
        served.session.begin(cx.waker());
        Poll::Ready(())
    })
    .await;
    loop {
        let mut work = take_up(&mut served);
        let (back, ended) = hand_over(&mut work, served).await;
        served = back;
        if let Err(end) = ended {
            return (served, end);
        }
        give_back(work, &mut served);
        wake_up().await;
    }
}

/// Waits for the task to be woken. Whoever is to wake it knows it already.
async fn wake_up() {
    let mut has_rested = false;
    poll_fn(|_| if std::mem::replace(&mut has_rested, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

async fn hand_over(work: &mut Work, served: Box<Served>) -> HandedBack {
    let mut served = Some(served);
    poll_fn(|cx| {
        if let Some(served) = served.take() {
            HANDED.set(Some(served));
        }
        let Poll::Pending = work.as_mut().poll(cx);
        HANDED_BACK.take().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

async fn work() -> Infallible {
    loop {
        if let Some(mut served) = HANDED.take() {
            let Served { session, client } = &mut *served;
            let ended = contain(pin!(session.serve(client))).await;
            HANDED_BACK.set(Some((served, ended)));
        }
        wake_up().await;
    }
}

/// What the client needs to be served.
fn take_up(served: &mut Served) -> Work {
    let Some(desk) = SPARES.with_borrow_mut(Vec::pop) else { return Box::pin(work()) };
    let Served { session, client } = served;
    session.blanks = desk.blanks;
    session.items = desk.items;
    session.plan = desk.plan;
    session.view = desk.view;
    // What came along with the last message of the login is still there.
    if client.inbox.is_empty() {
        client.inbox = desk.inbox;
    }
    if client.outbox.is_empty() {
        client.outbox = desk.outbox;
    }
    desk.work
}

/// The client rests: others may use what it does not need.
fn give_back(work: Work, served: &mut Served) {
    let Served { session, client } = served;
    let (inbox, outbox) = client.take_buffers();
    let mut desk = Desk {
        work,
        blanks: std::mem::take(&mut session.blanks),
        items: modest(&mut session.items),
        plan: modest(&mut session.plan),
        view: modest(&mut session.view),
        inbox,
        outbox,
    };
    desk.plan.clear();
    SPARES.with_borrow_mut(|spares| {
        if spares.len() < SPARE {
            spares.push(desk);
        }
    });
}

/// The list, or an empty one in its place if it has become large.
fn modest<T>(list: &mut Vec<T>) -> Vec<T> {
    let list = std::mem::take(list);
    if list.capacity() > LONG { Vec::new() } else { list }
}
