//! What is shown at this moment, and what keys do. Knows no terminal.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::line::News;
use crate::admin::status::{DatabaseStatus, Status};

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Stay,
    Quit,
}

/// What covers the state of the proxy, if anything does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Live,
    /// What comes is kept, and not shown.
    Paused,
    Help,
    /// One frame on paper.
    Printed,
}

/// What is shown at this moment.
#[derive(Debug)]
pub(super) struct App {
    pub(super) status: Status,
    pub(super) mode: Mode,
    /// Where the proxy is.
    pub(super) address: String,
    /// Why nothing comes any more, if it does not.
    pub(super) trouble: Option<String>,
    /// The newest document, if it is not shown.
    unseen: Option<Status>,
    /// The database, by its place in the document.
    chosen: usize,
    farewell: Option<String>,
}

impl App {
    pub(super) fn new(address: String, status: Status) -> Self {
        let (trouble, unseen, farewell) = (None, None, None);
        Self { status, mode: Mode::Live, address, trouble, unseen, chosen: 0, farewell }
    }

    /// For a frame that is printed.
    pub(super) fn printed(status: Status) -> Self {
        Self { mode: Mode::Printed, ..Self::new(String::new(), status) }
    }

    /// Shows the database of this place.
    pub(super) fn choose(&mut self, place: usize) {
        self.chosen = place;
    }

    /// The database that is shown, if there is one.
    pub(super) fn database(&self) -> Option<&DatabaseStatus> {
        self.status.databases.get(self.place())
    }

    /// Its place.
    pub(super) fn place(&self) -> usize {
        self.chosen.min(self.status.databases.len().saturating_sub(1))
    }

    /// What is to be said when the terminal is an ordinary one again.
    pub(super) fn farewell(self) -> Option<String> {
        self.farewell
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Then {
        if self.ends_by(key) {
            return Then::Quit;
        }
        let all = self.status.databases.len().max(1);
        match key.code {
            KeyCode::Esc => self.mode = Mode::Live,
            KeyCode::Char('?' | 'h') => {
                self.mode = if self.mode == Mode::Help { Mode::Live } else { Mode::Help };
            }
            KeyCode::Char('p' | ' ') => {
                self.mode = if self.mode == Mode::Paused { Mode::Live } else { Mode::Paused };
            }
            KeyCode::Tab | KeyCode::Right | KeyCode::Down => self.chosen = (self.place() + 1) % all,
            KeyCode::BackTab | KeyCode::Left | KeyCode::Up => self.chosen = (self.place() + all - 1) % all,
            _ => {}
        }
        if self.mode != Mode::Paused
            && let Some(status) = self.unseen.take()
        {
            self.show(status);
        }
        Then::Stay
    }

    fn ends_by(&self, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Char('q') => true,
            KeyCode::Char('c' | 'd') => key.modifiers.contains(KeyModifiers::CONTROL),
            KeyCode::Esc => self.mode != Mode::Help,
            _ => false,
        }
    }

    pub(super) fn hear(&mut self, news: News) -> Then {
        match news {
            News::Document(status) => {
                self.trouble = None;
                if self.mode == Mode::Paused {
                    self.unseen = Some(*status);
                } else {
                    self.show(*status);
                }
            }
            News::Interrupted => return Then::Quit,
            News::Lost(why) => self.trouble = Some(why),
            News::Refused(why) => {
                self.farewell = Some(why);
                return Then::Quit;
            }
        }
        Then::Stay
    }

    /// The same database stays in view, wherever it stands in the list.
    fn show(&mut self, status: Status) {
        let name = self.database().map(|database| database.name.clone());
        let place = status.databases.iter().position(|database| Some(&database.name) == name.as_ref());
        self.chosen = place.unwrap_or(self.chosen);
        self.status = status;
    }
}
