//! Who gets the document: one producer for all who watch, and nothing is made while nobody does.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;

use super::recorder::Recorder;
use crate::admin::access::Access;
use crate::admin::serve::Life;
use crate::session::Proxy;

/// How often those who watch get a document.
const BEAT: Duration = Duration::from_secs(1);
/// A document is shown again for so long to those who ask for one.
const FRESH: Duration = Duration::from_millis(250);
/// Most who watch at one time.
const WATCHERS: usize = 32;
/// Whoever takes nothing for so long is dropped.
const STALLED: Duration = Duration::from_secs(10);
/// After so long a watcher is sent off; it comes back if it is still there.
const WATCHED: Duration = Duration::from_hours(1);

/// The documents of one proxy.
pub(in crate::admin) struct Feed {
    proxy: Arc<Proxy>,
    access: Arc<Access>,
    made: Mutex<Made>,
    /// The newest document, as it is sent. Each watcher has a receiver.
    news: watch::Sender<Bytes>,
    places: Arc<Semaphore>,
    /// Becomes true when this process shows nothing any more.
    ended: watch::Sender<bool>,
}

/// Sends those who watch away when it is dropped: another process may have taken the place of this one.
pub(in crate::admin) struct Open(Arc<Feed>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.send_replace(true);
    }
}

/// What was made so far.
struct Made {
    recorder: Recorder,
    last: Option<(Instant, Bytes)>,
    /// Whether there is a task that makes one each second.
    is_going: bool,
}

impl Feed {
    /// Nothing is made yet.
    pub(in crate::admin) fn new(proxy: Arc<Proxy>, access: Arc<Access>) -> Self {
        let made = Mutex::new(Made { recorder: Recorder::new(), last: None, is_going: false });
        let places = Arc::new(Semaphore::new(WATCHERS));
        let (news, ended) = (watch::Sender::new(Bytes::new()), watch::Sender::new(false));
        Self { proxy, access, made, news, places, ended }
    }

    /// Those who watch may do so as long as this lives.
    pub(in crate::admin) fn open(self: &Arc<Self>) -> Open {
        Open(Arc::clone(self))
    }

    /// The document of this moment.
    fn now(&self) -> Bytes {
        let mut made = self.made();
        let now = Instant::now();
        // While one is made each second, others in between would make its figures those of a part of it.
        let fresh = if made.is_going { 2 * BEAT } else { FRESH };
        match &made.last {
            Some((at, document)) if now.duration_since(*at) < fresh => document.clone(),
            _ => made.make(&self.proxy, now),
        }
    }

    /// One more watches, and gets what is made from now on.
    fn watch(self: &Arc<Self>) -> watch::Receiver<Bytes> {
        let mut made = self.made();
        let news = self.news.subscribe();
        if !made.is_going {
            made.is_going = true;
            tokio::spawn(Arc::clone(self).produce());
        }
        news
    }

    /// Makes a document each second as long as somebody watches.
    async fn produce(self: Arc<Self>) {
        let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + BEAT, BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            let mut made = self.made();
            if self.news.receiver_count() == 0 {
                made.is_going = false;
                return;
            }
            let document = made.make(&self.proxy, Instant::now());
            drop(made);
            self.news.send_replace(document);
        }
    }

    /// Sends a watcher one document after the other, until it goes away, takes nothing any more, has been there for long
    /// enough, the process shows nothing any more, or other credentials are asked for.
    async fn tell(self: Arc<Self>, mut sender: Sender<Bytes>, life: Life, _place: OwnedSemaphorePermit) {
        let (mut rules, mut ended) = (self.access.changes(), self.ended.subscribe());
        let mut news = self.watch();
        let mut document = self.now();
        let telling = async {
            loop {
                let event = Bytes::from([b"data: ", &document[..], b"\n\n"].concat());
                match tokio::time::timeout(STALLED, sender.send_data(event)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => return life.ends(),
                }
                // The sender lives as long as the feed.
                let _ = news.changed().await;
                document = news.borrow_and_update().clone();
            }
        };
        tokio::select! {
            () = telling => {}
            _ = rules.changed() => {}
            _ = ended.wait_for(|ended| *ended) => {}
            () = tokio::time::sleep(WATCHED) => {}
        }
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    fn make(&mut self, proxy: &Proxy, now: Instant) -> Bytes {
        let status = self.recorder.document(proxy, now);
        // Strings, numbers and lists can always be written.
        let document = Bytes::from(serde_json::to_vec(&status).unwrap_or_default());
        self.last = Some((now, document.clone()));
        document
    }
}

/// `GET /status`.
pub(in crate::admin) async fn status(Extension(feed): Extension<Arc<Feed>>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, feed.now()).into_response()
}

/// `GET /events`: server-sent events.
/// <https://html.spec.whatwg.org/multipage/server-sent-events.html>
pub(in crate::admin) async fn events(
    Extension(feed): Extension<Arc<Feed>>,
    Extension(life): Extension<Life>,
) -> Response {
    let Ok(place) = Arc::clone(&feed.places).try_acquire_owned() else {
        let text = format!("{WATCHERS} watch already; ask for /status, or try again later\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    life.lasts(WATCHED + STALLED);
    tokio::spawn(Arc::clone(&feed).tell(sender, life, place));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::new(body)).into_response()
}
