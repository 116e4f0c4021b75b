//! What stands where, at the size of an old terminal and at others.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::app::Then;
use super::super::line::News;
use super::super::{frame, words};
use super::*;
use crate::admin::status::{Status, sample};

fn app() -> App {
    App::new("127.0.0.1:6433".to_owned(), sample())
}

fn drawn(app: &App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| frame.render_widget(app, frame.area())).expect("a frame");
    words::lines_of(terminal.backend().buffer())
}

fn press(app: &mut App, code: KeyCode) -> Then {
    app.key(KeyEvent::new(code, KeyModifiers::NONE))
}

#[track_caller]
fn shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn eighty_columns_and_twenty_four_lines_show_it_all() {
    let text = drawn(&app(), 80, 24);
    shows(
        &text,
        &[
            "Tidegate 0.1.0  up 90 s  [app] other",
            "live",
            "off the primary 90.0 % lately  of reads 95.0 %",
            "statements 1000/s  replicas 900/s  primary 100/s",
            "stale reads prevented 1,234 (5.5/s)  clients 12, 3 wait",
            "reads/s writes/s     pool",
            "pg2:5432          primary  -                         -     450        0     2/20",
            "pg3:5432          replica  open    ██████████    3.0 s     450        0     2/20",
            "pg4:5432          out      closed  ███░░░░░░░    3.0 s     450        0     2/20",
            "  lag",
            "write                100       1,000",
            "pins  2 listen (75 s)",
            "nodes, lately (UTC); failovers: 1",
            "    18 s     9,000    2.0 ms  select total from orders where id = ?",
            "22:13:20 pg2:5432 failover timeline 2",
            "q quit  p pause  tab database  ? help",
        ],
    );
    assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn any_size_will_do() {
    for (width, height) in [(1, 1), (20, 5), (79, 23), (110, 24), (300, 100)] {
        let mut app = app();
        drawn(&app, width, height);
        press(&mut app, KeyCode::Char('?'));
        drawn(&app, width, height);
    }
}

#[test]
fn keys_do_what_the_help_says() {
    let mut app = app();
    assert_eq!(press(&mut app, KeyCode::Tab), Then::Stay);
    shows(&drawn(&app, 80, 24), &[" app [other]", "! there is no primary: writes wait for one"]);
    press(&mut app, KeyCode::Left);
    shows(&drawn(&app, 80, 24), &["[app] other"]);
    press(&mut app, KeyCode::Char('?'));
    shows(&drawn(&app, 80, 24), &["tidegate top", "q, Esc, Ctrl-C   quit"]);
    assert_eq!(press(&mut app, KeyCode::Esc), Then::Stay, "it closes the help");
    assert!(!drawn(&app, 80, 24).contains("Ctrl-C"));
    assert_eq!(press(&mut app, KeyCode::Char('q')), Then::Quit);
    assert_eq!(app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Then::Quit);
}

#[test]
fn what_comes_during_a_pause_is_shown_afterwards() {
    let mut app = app();
    press(&mut app, KeyCode::Char('p'));
    let newer = Status { uptime_seconds: 100.0, ..sample() };
    app.hear(News::Document(Box::new(newer)));
    shows(&drawn(&app, 80, 24), &["up 90 s", "paused", "p go on"]);
    press(&mut app, KeyCode::Char('p'));
    shows(&drawn(&app, 80, 24), &["up 100 s", "live", "p pause"]);
}

#[test]
fn a_line_that_is_lost_is_said_and_what_was_known_stays() {
    let mut app = app();
    assert_eq!(app.hear(News::Lost("it does not answer".to_owned())), Then::Stay);
    shows(
        &drawn(&app, 80, 24),
        &["connection lost", "! 127.0.0.1:6433: it does not answer; trying again", "pg3:5432"],
    );
    app.hear(News::Document(Box::new(sample())));
    assert!(!drawn(&app, 80, 24).contains("lost  "));
    assert_eq!(app.hear(News::Refused("no".to_owned())), Then::Quit);
    assert_eq!(app.farewell().as_deref(), Some("no"));
}

#[test]
fn the_help_fits_its_window() {
    let longest = HELP.iter().map(|line| line.chars().count()).max().unwrap();
    assert!(longest + 2 <= usize::from(HELP_WIDTH), "{longest}");
}

#[test]
fn the_same_database_stays_in_view() {
    let mut app = app();
    press(&mut app, KeyCode::Tab);
    let mut fewer = sample();
    fewer.databases.remove(0);
    app.hear(News::Document(Box::new(fewer)));
    shows(&drawn(&app, 80, 24), &["[other]"]);
    app.hear(News::Document(Box::new(Status { databases: Vec::new(), ..sample() })));
    shows(&drawn(&app, 80, 24), &["the proxy has no database"]);
}

#[test]
fn paper_has_every_database_and_no_keys() {
    let text = frame(&sample());
    shows(&text, &["[app] other", " app [other]", "write                100       1,000"]);
    assert!(!text.contains("quit") && !text.contains("live"), "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
}

#[test]
fn attack_of_names_that_a_terminal_would_obey() {
    let mut status = sample();
    status.databases[0].nodes[0].name = "\x1b]0;owned\x07\x1b[2J".to_owned();
    status.databases[0].nodes[2].reason = Some("no\r\nroute\x1b[31m".to_owned());
    status.databases[0].events[0].detail = "\x1b[5m".to_owned();
    let text = drawn(&App::new(String::new(), status), 80, 24);
    assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'), "{text:?}");
}
