//! What holds for clients before they have logged in: by which rules they do, how many there may be, and what those get
//! whose address has failed too often.
//!
//! Whoever has not logged in may be anybody, so all that is kept of them is bounded: here by number, in `client` and `wire`
//! by bytes, in `listener` by time.

mod address;
mod failures;
mod unproven;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub(super) use address::{Counted, Source};
pub(super) use failures::Told;
pub(super) use unproven::Place;

use self::address::Addresses;
use self::failures::Failures;
use self::unproven::Unproven;
use super::failure::Failure;
use crate::config::{AccessRules, AdmissionSettings, Settings};
use crate::net::{Peer, system};

/// Files that clients leave to the console, to health checks and to server connections.
const RESERVE: u64 = 64;

/// By what clients are let in, until the configuration changes.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) access: Option<AccessRules>,
    pub(super) settings: AdmissionSettings,
}

/// Lets clients in.
#[derive(Debug)]
pub(super) struct Admission {
    terms: ArcSwap<Terms>,
    pub(super) failures: Failures,
    unproven: Arc<Unproven>,
    addresses: Arc<Addresses>,
    /// Clients whose file has this number or more are too many.
    most_files: Option<u64>,
}

/// A client that has been accepted, as it is counted until it is gone.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Among those of its address.
    pub(super) counted: Option<Counted>,
    /// Among those that have not logged in.
    pub(super) place: Place,
}

/// Why a client may only go to the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// Its address has as many connections as it may have.
    Address(usize),
    /// The process has almost as many files open as it may have.
    Files,
}

impl Terms {
    fn of(settings: &Settings) -> Self {
        Self { access: settings.access.clone(), settings: settings.admission }
    }
}

impl Admission {
    pub(super) fn new(settings: &Settings) -> Self {
        let most_files = system::file_limit().map(|limit| limit - RESERVE.min(limit / 4));
        Self {
            terms: ArcSwap::from_pointee(Terms::of(settings)),
            failures: Failures::default(),
            unproven: Arc::default(),
            addresses: Arc::default(),
            most_files,
        }
    }

    /// Goes by these settings from now on.
    pub(super) fn follow(&self, settings: &Settings) {
        self.terms.store(Arc::new(Terms::of(settings)));
    }

    /// How many have not logged in yet.
    pub(super) fn unproven(&self) -> usize {
        self.unproven.count()
    }

    /// By what clients are let in at this moment.
    pub(super) fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// Counts a client that has just been accepted; `file`: the number of its socket among the process's files. When there
    /// are too many that have not logged in, the one that has been here for the longest must go.
    pub(super) fn arrive(&self, peer: Peer, file: Option<u64>) -> Arrival {
        let settings = self.terms.load().settings;
        let counted = Source::of(peer).map(|source| self.addresses.enter(source));
        let lacks_files = matches!((file, self.most_files), (Some(file), Some(most)) if file >= most);
        let over = |most: &usize| counted.as_ref().is_some_and(|(_, count)| count > most);
        let crowded = match settings.max_connections_per_address.filter(over) {
            Some(most) => Some(Crowded::Address(most)),
            None => lacks_files.then_some(Crowded::Files),
        };
        let place = self.unproven.enter(settings.max_unauthenticated_clients, lacks_files, crowded);
        Arrival { counted: counted.map(|(counted, _)| counted), place }
    }
}

impl Crowded {
    /// What a client is told.
    pub(super) fn failure(self, peer: Peer) -> Failure {
        match self {
            Self::Address(most) => {
                let text = format!(
                    "too many connections from address \"{peer}\" (max_connections_per_address={most})"
                );
                Failure::fatal("53300", text)
            }
            Self::Files => Failure::fatal("53300", "sorry, too many clients already").with_hint(
                "The proxy has almost as many files open as the system allows it (RLIMIT_NOFILE).",
            ),
        }
    }
}
