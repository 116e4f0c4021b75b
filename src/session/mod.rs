//! The client's side: from an accepted socket to the last byte.
//!
//! Owns client connections, what their sessions have (names, settings, marks, pins) and, while it is leased, the
//! server connection that works for them. Decisions are made in `routing`; this module gathers what they need and
//! carries them out. It must not know how servers are found or watched.

mod accounts;
mod admission;
mod alike;
mod alone;
mod ask;
mod averages;
mod build;
mod cancel;
mod client;
mod console;
mod contain;
mod control;
mod door;
mod due;
mod encrypt;
mod encryption;
mod exchange;
mod explain;
mod failure;
mod fault;
mod finish;
mod gate;
mod generations;
mod greeting;
mod ground;
mod guests;
mod halt;
mod handshake;
mod heal;
mod keep;
mod known;
mod large;
mod leased;
mod leaving;
mod listener;
mod lock;
mod locks;
mod login;
mod names;
mod need;
mod negotiation;
mod obtain;
mod overdue;
mod own;
mod peers;
mod pins;
mod proxy;
mod relay;
mod reload;
mod replication;
mod replies;
mod rest;
mod restore;
mod roster;
mod rules;
#[cfg(any(test, fuzzing))]
pub mod scripted;
mod segment;
mod sequences;
mod serve;
mod settings;
mod shown;
mod stale;
mod statements;
mod stock;
mod summary;
mod timer;
mod told;
mod touch;
mod turn;
mod understand;
mod user;
mod verify;

pub use control::{Control, Controls, Order, Orders, Reply};
pub use door::{Door, Forwarded};
pub use encryption::{Encryption, Unreadable};
pub use gate::{Gate, Passage};
pub use keep::keep;
pub use listener::{BACKLOG, accept, bind, hand_out};
pub use pins::{PinList, PinView};
pub use proxy::{Database, Proxy};
pub use user::User;
