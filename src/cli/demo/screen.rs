//! Where it is shown: a table that is drawn over itself on a terminal, a line at a time anywhere else.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use super::report::View;

/// Standard output.
pub(super) struct Screen {
    live: bool,
    /// Lines of the table that is there, the cursor being below it.
    drawn: usize,
}

impl Screen {
    /// Whatever standard output is.
    pub(super) fn of_stdout() -> Self {
        Self { live: io::stdout().is_terminal(), drawn: 0 }
    }

    /// Whether the table is drawn over itself.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Says something above the table.
    pub(super) fn say(&mut self, text: &str) {
        self.drawn = 0;
        // Whether anybody reads is found out by `show`.
        let _ = print(&format!("{text}\n"));
    }

    /// Shows the figures of this moment. The error means that standard output is gone.
    pub(super) fn show(&mut self, view: &View) -> io::Result<()> {
        let text = if self.live { self.redraw(&view.table(false)) } else { format!("{}\n", view.line()) };
        print(&text)
    }

    /// Shows the last table, and below it the verdict if there is one.
    pub(super) fn finish(&mut self, view: &View, verdict: Option<Result<String, String>>) {
        let table = view.table(true);
        let mut text = if self.live { self.redraw(&table) } else { format!("\n{}\n", table.join("\n")) };
        let _ = match verdict {
            Some(Ok(verdict)) => writeln!(text, "\nok: {verdict}"),
            Some(Err(verdict)) => writeln!(text, "\nfailed: {verdict}"),
            None => Ok(()),
        };
        // The exit code says it too.
        let _ = print(&text);
    }

    /// The table over the one that is there. Lines are cut off at the edge while they are drawn, not wrapped: else
    /// there would be more of them than we know of.
    fn redraw(&mut self, table: &[String]) -> String {
        let mut text = String::from("\x1b[?7l\r");
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        for line in table {
            let _ = write!(text, "{line}\x1b[K\r\n");
        }
        text.push_str("\x1b[J\x1b[?7h");
        self.drawn = table.len();
        text
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
