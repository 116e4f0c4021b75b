//! What can be said.

use super::{COMMANDS, TABLES, Table, row, text};

pub(super) const HELP: Table = Table {
    name: "HELP",
    columns: &[text("command"), text("meaning")],
    rows: |_| {
        let shows = TABLES.iter().map(|table| row![format!("SHOW {}", table.name), table.meaning]);
        let commands = COMMANDS.iter().map(|(usage, meaning)| row![*usage, *meaning]);
        shows.chain(commands).collect()
    },
    meaning: "these commands",
};
