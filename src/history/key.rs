//! What is known of one key: a few numbers, and when its newest writes were acknowledged.

use std::collections::VecDeque;
use std::time::Duration;

use super::{ProxyId, WINDOW};

/// So many instants of acknowledgements are kept.
pub(super) const INSTANTS: usize = 256;

/// One register or list.
#[derive(Debug)]
pub(super) struct Key {
    /// The greatest value whose write was begun, and by proxy: the greatest whose write was begun through it.
    sent: u64,
    sent_through: Box<[u64]>,
    /// By proxy: the greatest value acknowledged through it.
    acknowledged: Box<[u64]>,
    /// When the newest values were acknowledged, the last of them last.
    instants: VecDeque<Duration>,
    /// The greatest value acknowledged through any proxy: the value of the last instant.
    newest: u64,
    /// The greatest value that a read has returned to anybody.
    returned: u64,
    /// Elements up to this one may have been thrown away.
    trimmed: u64,
}

impl Key {
    /// Nothing has been written.
    pub(super) fn new(proxies: usize) -> Self {
        Self {
            sent: 0,
            sent_through: vec![0; proxies].into(),
            acknowledged: vec![0; proxies].into(),
            instants: VecDeque::with_capacity(INSTANTS),
            newest: 0,
            returned: 0,
            trimmed: 0,
        }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// The greatest value whose write was begun through this proxy.
    pub(super) fn sent_through(&self, proxy: ProxyId) -> u64 {
        self.sent_through[proxy.0]
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) fn returned(&self) -> u64 {
        self.returned
    }

    pub(super) fn sending(&mut self, value: u64, proxy: ProxyId) {
        self.sent = self.sent.max(value);
        let through = &mut self.sent_through[proxy.0];
        *through = value.max(*through);
    }

    pub(super) fn acknowledged(&mut self, value: u64, proxy: ProxyId, at: Duration) {
        let through = &mut self.acknowledged[proxy.0];
        *through = value.max(*through);
        if value > self.newest {
            self.newest = value;
            if self.instants.len() == INSTANTS {
                self.instants.pop_front();
            }
            self.instants.push_back(at);
        }
    }

    pub(super) fn returns(&mut self, value: u64) {
        self.returned = self.returned.max(value);
    }

    /// The greatest value acknowledged through this proxy.
    pub(super) fn acknowledged_through(&self, proxy: ProxyId) -> u64 {
        self.acknowledged[proxy.0]
    }

    /// The greatest value acknowledged at this instant or before it, as far as that is remembered.
    pub(super) fn acknowledged_by(&self, at: Option<Duration>) -> u64 {
        let Some(at) = at else { return 0 };
        let later = self.instants.iter().rev().take_while(|instant| **instant > at).count();
        // Where all that is remembered is later, nobody knows about the rest.
        if later == self.instants.len() { 0 } else { self.newest - later as u64 }
    }

    /// When this value was acknowledged. For one that is forgotten: when the oldest that is remembered was.
    pub(super) fn acknowledged_at(&self, value: u64) -> Option<Duration> {
        if value == 0 {
            return None;
        }
        let back = usize::try_from(self.newest.checked_sub(value)?).unwrap_or(usize::MAX);
        let at = self.instants.len().saturating_sub(back.saturating_add(1));
        self.instants.get(at).copied()
    }

    /// The element after which a list is read: far enough back that there is something to see.
    pub(super) fn base(&self) -> u64 {
        (self.newest / WINDOW).saturating_sub(1) * WINDOW
    }

    /// Up to which element the list can go now. Reads keep one window more than they need, so that one under way seldom
    /// loses what it asks for.
    pub(super) fn trim(&mut self) -> Option<u64> {
        let end = self.base().saturating_sub(WINDOW);
        let is_new = end > self.trimmed;
        self.trimmed = self.trimmed.max(end);
        is_new.then_some(end)
    }

    /// Whether elements after `base` may have been thrown away.
    pub(super) fn is_trimmed_after(&self, base: u64) -> bool {
        self.trimmed > base
    }
}
