//! Figures and names as they are shown in a terminal.

use ratatui::buffer::Buffer;

/// A figure per second.
pub(super) fn rate(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value > 0.0 && value < 9.95 => format!("{value:.1}"),
        Some(value) => short(value),
    }
}

/// At most six characters.
fn short(value: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e4, "k")];
    match units.into_iter().find(|(least, _)| value >= *least) {
        Some((1e4, unit)) => format!("{:.1}{unit}", value / 1e3),
        Some((least, unit)) => format!("{:.1}{unit}", value / least),
        None => format!("{value:.0}"),
    }
}

/// A number that is counted.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of 1.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A time in milliseconds.
pub(super) fn milliseconds(time: Option<f64>) -> String {
    match time {
        None => "-".to_owned(),
        Some(ms) if ms < 0.01 => "<0.01 ms".to_owned(),
        Some(ms) if ms < 0.995 => format!("{ms:.2} ms"),
        Some(ms) if ms < 9.95 => format!("{ms:.1} ms"),
        Some(ms) if ms < 999.5 => format!("{ms:.0} ms"),
        Some(ms) => seconds(ms / 1e3),
    }
}

/// A time in seconds.
pub(super) fn seconds(time: f64) -> String {
    let whole = time.max(0.0).round();
    match time {
        _ if time < 9.95 => format!("{time:.1} s"),
        _ if time < 120.0 => format!("{whole:.0} s"),
        _ if time < 7_200.0 => format!("{:.0} min", (time / 60.0).floor()),
        _ if time < 172_800.0 => format!("{:.0} h", (time / 3_600.0).floor()),
        _ => format!("{:.0} days", (time / 86_400.0).floor()),
    }
}

/// The time of day of an instant, UTC.
pub(super) fn time_of_day(time_ms: u64) -> String {
    let seconds = time_ms / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A gauge of so many characters, filled to a level of 0 to 1.
pub(super) fn gauge(level: Option<f64>, width: usize) -> String {
    let Some(level) = level else { return " ".repeat(width) };
    // Full only when it is.
    let filled = (1..=width).filter(|cells| level * width as f64 >= *cells as f64 - 0.001).count();
    "█".repeat(filled) + &"░".repeat(width - filled)
}

/// What others have written, on one line and without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A text in so many columns, at the left; its end is what tells nodes apart, so its beginning goes.
pub(super) fn left(text: &str, width: usize) -> String {
    let text = plain(text);
    let letters = text.chars().count();
    if letters <= width {
        return text + &" ".repeat(width - letters);
    }
    let kept: String = text.chars().skip(letters + 1 - width).collect();
    format!("…{kept}")
}

/// The text of a frame, without blanks at the ends of lines and blank lines at its end.
pub(super) fn lines_of(buffer: &Buffer) -> String {
    let area = buffer.area;
    let line = |y| {
        let cells = (area.left()..area.right()).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    let text = (area.top()..area.bottom()).map(line).collect::<Vec<_>>().join("\n");
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let rates = [None, Some(0.0), Some(0.4), Some(9.94), Some(123.4), Some(9_999.0), Some(12_345.0)];
        assert_eq!(rates.map(rate), ["-", "0", "0.4", "9.9", "123", "9999", "12.3k"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let times = [None, Some(0.0), Some(0.37), Some(0.999), Some(9.9), Some(12.4), Some(1_500.0)];
        assert_eq!(
            times.map(milliseconds),
            ["-", "<0.01 ms", "0.37 ms", "1.0 ms", "9.9 ms", "12 ms", "1.5 s"]
        );
        assert_eq!([61_000.0, 600_000.0].map(|ms| milliseconds(Some(ms))), ["61 s", "10 min"]);
        assert_eq!(time_of_day(1_700_000_000_000), "22:13:20");
    }

    #[test]
    fn a_gauge_is_full_only_when_nothing_is_missing() {
        let drawn = [Some(1.0), Some(0.98), Some(0.5), Some(0.0)].map(|level| gauge(level, 4));
        assert_eq!(drawn, ["████", "███░", "██░░", "░░░░"]);
        assert_eq!(gauge(None, 4), "    ");
    }

    #[test]
    fn a_terminal_obeys_no_name() {
        assert_eq!(left("a\x1b[2Jb", 8), "a [2Jb  ");
        assert_eq!(left("db-7.example.org:5432", 10), "….org:5432");
    }
}
