//! `tidegate top`: the state of a running proxy in a terminal.
//!
//! Owns the terminal while it is shown. What is shown is the document of [`crate::admin::status`]; a thread reads it.

mod app;
mod line;
mod view;
mod words;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::layout::Rect;
use ratatui::widgets::Widget;

use self::app::{App, Then};
use self::line::{Line, News};
use super::args::TopArgs;
use super::interrupt::Interrupt;
use super::remote;
use crate::admin::status::Status;

/// How often keys and documents are looked for.
const LOOK: Duration = Duration::from_millis(100);
/// Documents that may wait to be shown.
const UNSEEN: usize = 4;
/// Columns of a frame that is printed.
const PRINTED_COLUMNS: u16 = 80;
/// Most lines of one.
const PRINTED_LINES: u16 = 400;

/// Shows the state of a running proxy until `q` is pressed, or once.
pub fn top(args: &TopArgs) -> ExitCode {
    let shown = remote::token(&args.admin.token).and_then(|token| {
        let line = Line { admin: args.admin.admin, token };
        if args.once { print(&line) } else { show(line) }
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("tidegate: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one frame as text. It takes a second: that is what figures per second are an average of.
fn print(line: &Line) -> Result<(), String> {
    let mut documents = Vec::new();
    line.read(|status| {
        documents.push(status);
        documents.len() < 2
    })
    .map_err(|error| line.complaint(&error))?;
    let status = documents.pop().ok_or_else(|| "the proxy has sent nothing".to_owned())?;
    let text = frame(&status);
    match io::Write::write_all(&mut io::stdout().lock(), text.as_bytes()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("cannot write: {error}")),
        _ => Ok(()),
    }
}

/// One frame for each database, as text.
fn frame(status: &Status) -> String {
    let mut text = String::new();
    for number in 0..status.databases.len().max(1) {
        let mut app = App::printed(status.clone());
        app.choose(number);
        let area = Rect::new(0, 0, PRINTED_COLUMNS, PRINTED_LINES);
        let mut buffer = Buffer::empty(area);
        app.render(area, &mut buffer);
        text.push_str(if number > 0 { "\n" } else { "" });
        text.push_str(&words::lines_of(&buffer));
    }
    text
}

/// Shows one frame after the other.
fn show(line: Line) -> Result<(), String> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err("top needs a terminal; tidegate top --once prints one frame as text".to_owned());
    }
    // Before the terminal is taken: whoever has mistyped the address is to be told so on an ordinary screen.
    let first = line.first().map_err(|error| line.complaint(&error))?;
    let (sender, news) = mpsc::sync_channel(UNSEEN);
    let mut app = App::new(line.admin.to_string(), first);
    heed_signals(sender.clone())?;
    line.follow(sender)?;
    // It also has a panic give the terminal back before it is told.
    let mut terminal =
        ratatui::try_init().map_err(|error| format!("this terminal cannot be used: {error}"))?;
    let ended = run(&mut terminal, &mut app, &news);
    ratatui::restore();
    ended.map_err(|error| format!("the terminal is gone: {error}"))?;
    app.farewell().map_or(Ok(()), Err)
}

/// Whoever sends a signal is to get the terminal back, too.
fn heed_signals(news: mpsc::SyncSender<News>) -> Result<(), String> {
    let cannot = |error: io::Error| format!("cannot listen for signals: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let mut interrupt = {
        let _entered = runtime.enter();
        Interrupt::listen().map_err(cannot)?
    };
    let heed = move || {
        runtime.block_on(interrupt.heard());
        // If nobody listens any more it has ended already.
        let _ = news.send(News::Interrupted);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(heed).map(drop).map_err(cannot)
}

fn run(
    terminal: &mut ratatui::DefaultTerminal,
    app: &mut App,
    news: &mpsc::Receiver<News>,
) -> io::Result<()> {
    let mut is_drawn = false;
    loop {
        if !is_drawn {
            terminal.draw(|frame| frame.render_widget(&*app, frame.area()))?;
            is_drawn = true;
        }
        if event::poll(LOOK)? {
            is_drawn = false;
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && app.key(key) == Then::Quit
            {
                return Ok(());
            }
        }
        while let Ok(news) = news.try_recv() {
            is_drawn = false;
            if app.hear(news) == Then::Quit {
                return Ok(());
            }
        }
    }
}
