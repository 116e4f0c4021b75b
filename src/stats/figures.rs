//! What counters and gauges say, read back. Handles only write; reading is for people, and may take its time.

use super::Stats;

/// What those said at one moment that stood at a whole number, as counters do.
#[derive(Clone, Debug)]
pub struct Figures(Vec<Figure>);

#[derive(Clone, Debug)]
struct Figure {
    name: String,
    labels: Vec<(String, String)>,
    value: u64,
}

impl Figures {
    /// The sum of what has this name and all of these labels; 0 if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let has = |figure: &Figure, (key, value): &(&str, &str)| {
            figure.labels.iter().any(|(k, v)| k == key && v == value)
        };
        let is_meant =
            |figure: &&Figure| figure.name == name && labels.iter().all(|label| has(figure, label));
        self.0.iter().filter(is_meant).map(|figure| figure.value).sum()
    }

    /// Reads Prometheus' text format.
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
    fn read(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(read_line).collect())
    }
}

impl Stats {
    /// What all of them say at this moment.
    pub fn figures(&self) -> Figures {
        Figures::read(&self.render())
    }
}

fn read_line(line: &str) -> Option<Figure> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (key, behind) = rest.trim_start_matches(',').split_once("=\"")?;
            let (value, behind) = quoted(behind)?;
            labels.push((key.to_owned(), value));
            rest = behind;
        }
        rest = &rest[1..];
    }
    Some(Figure { name: name.to_owned(), labels, value: rest.split_whitespace().next()?.parse().ok()? })
}

/// What stands before the closing quotation mark, and what is behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            (_, other) => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_read_back() {
        let stats = Stats::default();
        let odd = "a \"b\", {c} \\ d\ne";
        stats.counter("tidegate_transactions_total", &[("database", odd), ("node", "pg1:5432")]).increment(3);
        stats.counter("tidegate_transactions_total", &[("database", odd), ("node", "pg2:5432")]).increment(4);
        stats.counter("tidegate_transactions_total", &[("database", "b"), ("node", "pg2:5432")]).increment(5);
        stats.counter("tidegate_connections_total", &[]).increment(6);
        let figures = stats.figures();
        let of = |labels: &[(&str, &str)]| figures.sum("tidegate_transactions_total", labels);
        assert_eq!((of(&[]), of(&[("database", odd)]), of(&[("node", "pg2:5432")])), (12, 7, 9));
        assert_eq!((of(&[("database", odd), ("node", "pg2:5432")]), of(&[("database", "")])), (4, 0));
        assert_eq!(figures.sum("tidegate_connections_total", &[]), 6);
        assert_eq!(figures.sum("nothing_total", &[]), 0);
    }
}
