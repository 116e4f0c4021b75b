//! How it looks: lines of text in an area of any size.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Widget};

use super::app::{App, Mode};
use super::words::{count, gauge, left, milliseconds, percent, plain, rate, seconds, time_of_day};
use crate::admin::status::{DatabaseStatus, Gate, NodeState, NodeStatus, Role};

/// Characters of a gauge.
const GAUGE: usize = 10;
/// What the columns of nodes take, without their names.
const OTHERS: usize = 63;
/// From this width on there is room for more.
const WIDE: u16 = 110;

type Lines = Vec<Line<'static>>;

impl Widget for &App {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let width = usize::from(area.width);
        let mut top: Lines = vec![self.head(width)];
        top.extend(self.notices());
        let foot = u16::from(self.mode != Mode::Printed);
        if let Some(database) = self.database() {
            top.extend(figures(database));
            top.push(Line::default());
            top.extend(nodes(&database.nodes, width));
        }
        let high = u16::try_from(top.len()).unwrap_or(u16::MAX);
        let [above, _, below, keys] = Layout::vertical([
            Constraint::Length(high),
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(foot),
        ])
        .areas(area);
        Paragraph::new(top).render(above, buffer);
        if let Some(database) = self.database() {
            render_below(database, below, buffer);
        }
        if foot > 0 {
            self.keys().render(keys, buffer);
        }
        if self.mode == Mode::Help {
            render_help(area, buffer);
        }
    }
}

impl App {
    fn head(&self, width: usize) -> Line<'static> {
        let status = &self.status;
        let mut spans = vec![
            Span::from(format!("Tidegate {}", plain(&status.version))).bold(),
            Span::from(format!("  up {}  ", seconds(status.uptime_seconds))),
        ];
        for (place, database) in status.databases.iter().enumerate() {
            let name = plain(&database.name);
            let is_chosen = place == self.place();
            spans.push(if is_chosen {
                Span::from(format!("[{name}]")).bold()
            } else {
                Span::from(format!(" {name} "))
            });
        }
        let link = match (&self.trouble, self.mode) {
            (_, Mode::Printed) => Span::default(),
            (Some(_), _) => Span::from("connection lost").fg(Color::Red).bold(),
            (None, Mode::Paused) => Span::from("paused").fg(Color::Yellow).bold(),
            (None, _) => Span::from("live").fg(Color::Green),
        };
        let used: usize = spans.iter().map(Span::width).sum();
        spans.push(Span::from(" ".repeat(width.saturating_sub(used + link.width()).max(1))));
        spans.push(link);
        Line::from(spans)
    }

    fn notices(&self) -> Lines {
        let mut notices: Vec<String> = Vec::new();
        if let Some(trouble) = &self.trouble {
            notices.push(format!("{}: {}; trying again", self.address, plain(trouble)));
        }
        if self.status.stopping {
            notices.push("the proxy is stopping".to_owned());
        }
        match self.database() {
            None => notices.push("the proxy has no database".to_owned()),
            Some(database) => notices.extend(oddities(database)),
        }
        let notice = |text: String| Line::from(format!("! {text}")).fg(Color::Yellow).bold();
        notices.into_iter().map(notice).collect()
    }

    fn keys(&self) -> Line<'static> {
        let pause = if self.mode == Mode::Paused { "p go on" } else { "p pause" };
        let databases = if self.status.databases.len() > 1 { "  tab database" } else { "" };
        Line::from(format!("q quit  {pause}{databases}  ? help")).dim()
    }
}

/// What is not as usual with a database.
fn oddities(database: &DatabaseStatus) -> Vec<String> {
    let mut found = Vec::new();
    if database.gate != "open" {
        found.push(format!("the database is {}: its statements wait (RESUME)", plain(&database.gate)));
    }
    if database.disabled {
        found.push("the database is disabled: new clients are turned away (ENABLE)".to_owned());
    }
    if database.mode == "observe" {
        found.push("mode observe: everything runs on the primary".to_owned());
    }
    if database.primary.is_none() {
        found.push("there is no primary: writes wait for one".to_owned());
    }
    found
}

fn figures(database: &DatabaseStatus) -> Lines {
    let DatabaseStatus { offloaded, statements, clients, stale_reads_prevented: prevented, .. } = database;
    let (share, of) = match offloaded.share {
        Some(share) => (Some(share), "lately"),
        None => (offloaded.share_since_start, "since the start"),
    };
    let both = statements.primary_per_second.zip(statements.replica_per_second).map(|(a, b)| a + b);
    let label = |text: &'static str| Span::from(text).dim();
    let waiting = Span::from(format!("{} wait", count(clients.waiting as u64)));
    let waiting = if clients.waiting > 0 { waiting.fg(Color::Red).bold() } else { waiting };
    vec![
        Line::from(vec![
            label("off the primary "),
            Span::from(percent(share)).fg(Color::Cyan).bold(),
            Span::from(format!(" {of}")),
            label("  of reads "),
            Span::from(percent(offloaded.share_of_reads)),
        ]),
        Line::from(vec![
            label("statements "),
            Span::from(format!("{}/s", rate(both))).bold(),
            label("  replicas "),
            Span::from(format!("{}/s", rate(statements.replica_per_second))),
            label("  primary "),
            Span::from(format!("{}/s", rate(statements.primary_per_second))),
        ]),
        Line::from(vec![
            label("stale reads prevented "),
            Span::from(count(prevented.total)).bold(),
            Span::from(format!(" ({}/s)", rate(prevented.per_second))),
            label("  clients "),
            Span::from(count(clients.now as u64)).bold(),
            Span::from(", "),
            waiting,
        ]),
    ]
}

/// A line for each node, and one below for what is wrong with it.
fn nodes(nodes: &[NodeStatus], width: usize) -> Lines {
    let name = width.saturating_sub(OTHERS).clamp(12, 40);
    let head = format!(
        "{} {:<9}{:<8}{:<GAUGE$} {:>8} {:>7} {:>8} {:>8}",
        left("node", name),
        "is",
        "gate",
        "level",
        "behind",
        "reads/s",
        "writes/s",
        "pool"
    );
    let mut lines = vec![Line::from(head).dim()];
    for node in nodes {
        lines.push(node_line(node, name));
        if let Some(reason) = &node.reason {
            lines.push(Line::from(format!("  {}", plain(reason))).fg(Color::Yellow));
        }
    }
    lines
}

fn node_line(node: &NodeStatus, name: usize) -> Line<'static> {
    let (is, style) = match (node.state, node.role) {
        (NodeState::Up, Some(Role::Primary)) => ("primary", Style::new().bold()),
        (NodeState::Up, _) => ("replica", Style::new().fg(Color::Green)),
        (NodeState::Out | NodeState::Disabled, _) => (node.state.label(), Style::new().fg(Color::Yellow)),
        (state, _) => (state.label(), Style::new().fg(Color::Red).bold()),
    };
    let gate = match node.gate {
        Some(Gate::Closed) => Span::from(format!("{:<8}", Gate::Closed.label())).fg(Color::Red),
        Some(gate) => Span::from(format!("{:<8}", gate.label())),
        None => Span::from(format!("{:<8}", "-")),
    };
    let pool = &node.pool;
    let limit = pool.limit.map_or_else(String::new, |limit| format!("/{limit}"));
    let used = format!("{}{limit}", pool.active);
    let used = if pool.waiting > 0 { format!("{used}+{}", pool.waiting) } else { used };
    Line::from(vec![
        Span::from(left(&node.name, name)),
        Span::styled(format!(" {is:<9}"), style),
        gate,
        Span::from(gauge(node.level, GAUGE)).fg(Color::Cyan),
        Span::from(format!(
            " {:>8} {:>7} {:>8}",
            milliseconds(node.staleness_ms),
            rate(node.reads_per_second),
            rate(node.writes_per_second)
        )),
        Span::styled(format!(" {used:>8}"), if pool.waiting > 0 { Color::Red } else { Color::Reset }),
    ])
}

/// What takes what room there is: reasons at the left, pins and events at the right, shapes below.
fn render_below(database: &DatabaseStatus, area: Rect, buffer: &mut Buffer) {
    let shapes = shapes(database, usize::from(area.width));
    let wanted = u16::try_from(shapes.len()).unwrap_or(u16::MAX).min(area.height / 2);
    let room = area.height - wanted;
    let above = Rect { height: room, ..area };
    let used = render_middle(database, above, buffer);
    let below = Rect { y: area.y + used, height: area.height - used, ..area };
    Paragraph::new(shapes).render(below, buffer);
}

/// Returns how many lines it has used.
fn render_middle(database: &DatabaseStatus, area: Rect, buffer: &mut Buffer) -> u16 {
    let reasons = if area.width < WIDE { 36 } else { 60 };
    let [at_left, _, at_right] =
        Layout::horizontal([Constraint::Length(reasons), Constraint::Length(2), Constraint::Fill(1)])
            .areas(area);
    let left = kept(database, usize::from(at_left.width));
    let mut right = pins(database);
    right.push(Line::default());
    right.extend(events(database));
    // One stays blank.
    let lines = u16::try_from(left.len().max(right.len()) + 1).unwrap_or(u16::MAX);
    Paragraph::new(left).render(at_left, buffer);
    Paragraph::new(right).render(at_right, buffer);
    lines.min(area.height)
}

/// The statements that have taken the most time.
fn shapes(database: &DatabaseStatus, width: usize) -> Lines {
    if database.shapes.is_empty() {
        return Lines::new();
    }
    let text = width.saturating_sub(31).max(10);
    let mut lines =
        vec![Line::from(format!("{:>8} {:>9} {:>9}  {}", "in all", "calls", "average", "statement")).dim()];
    lines.extend(database.shapes.iter().map(|shape| {
        let (all, mean) = (seconds(shape.total_seconds), milliseconds(Some(shape.mean_ms)));
        let statement: String = plain(&shape.text).chars().take(text).collect();
        Line::from(format!("{all:>8} {:>9} {mean:>9}  {statement}", count(shape.calls)))
    }));
    lines
}

fn kept(database: &DatabaseStatus, width: usize) -> Lines {
    let name = width.saturating_sub(20);
    let mut lines =
        vec![Line::from(format!("{:<name$} {:>7} {:>11}", "to the primary", "/s", "total")).dim()];
    lines.extend(database.kept_on_primary.iter().map(|kept| {
        let rate = rate(kept.per_second);
        Line::from(format!("{} {rate:>7} {:>11}", left(&kept.reason, name), count(kept.total)))
    }));
    if lines.len() == 1 {
        lines.push(Line::from("nothing yet"));
    }
    lines
}

fn pins(database: &DatabaseStatus) -> Lines {
    let pinned = |pin: &crate::admin::status::Pinned| {
        format!("{} {} ({})", pin.count, plain(&pin.reason), seconds(pin.longest_seconds as f64))
    };
    let all: Vec<_> = database.pins.iter().map(pinned).collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    vec![Line::from(vec![Span::from("pins  ").dim(), Span::from(all)])]
}

fn events(database: &DatabaseStatus) -> Lines {
    let head = format!("nodes, lately (UTC); failovers: {}", database.failovers);
    let mut lines = vec![Line::from(head).dim()];
    lines.extend(database.events.iter().map(|event| {
        let what = event.event.replace('_', " ");
        let time = Span::from(time_of_day(event.time_ms)).dim();
        let line = format!(" {} {what} {}", plain(&event.node), plain(&event.detail));
        let line = Span::from(line.trim_end().to_owned());
        Line::from(vec![time, if event.event == "failover" { line.bold() } else { line }])
    }));
    lines
}

/// Of the help, with its frame, in characters.
const HELP_WIDTH: u16 = 72;

const HELP: &[&str] = &[
    "q, Esc, Ctrl-C   quit",
    "p, space         pause; what comes meanwhile is shown afterwards",
    "tab, arrows      the next database, or the one before",
    "?                this",
    "",
    "gate    open: all that was written has arrived",
    "        filling: it is on its way; closed: it is far, or nobody reads",
    "level   full: nothing is missing; 2 characters less for each",
    "        power of ten milliseconds that it is behind",
    "behind  what a replica may lack is younger than this",
    "pool    connections at work / most there may be + clients waiting",
];

fn render_help(area: Rect, buffer: &mut Buffer) {
    let [column] =
        Layout::horizontal([Constraint::Length(HELP_WIDTH)]).flex(ratatui::layout::Flex::Center).areas(area);
    let high = u16::try_from(HELP.len() + 2).unwrap_or(u16::MAX);
    let [window] =
        Layout::vertical([Constraint::Length(high)]).flex(ratatui::layout::Flex::Center).areas(column);
    Clear.render(window, buffer);
    let lines: Lines = HELP.iter().map(|line| Line::from(*line)).collect();
    Paragraph::new(lines).block(Block::bordered().title(" tidegate top ")).render(window, buffer);
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
