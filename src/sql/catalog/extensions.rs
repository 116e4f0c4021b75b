//! Extensions whose volatile functions are known.

const HARMLESS: &str = include_str!("extensions.txt");

/// Whether a function of an extension answers alike on every node although it is declared VOLATILE, as `random()` does.
pub(super) fn is_harmless(extension: &str, function: &str) -> bool {
    HARMLESS.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next() == Some(extension) && words.any(|word| word == function)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_matter() {
        assert!(is_harmless("uuid-ossp", "uuid_generate_v4"));
        assert!(is_harmless("pgcrypto", "gen_salt"));
        assert!(!is_harmless("pgcrypto", "uuid_generate_v4"));
        assert!(!is_harmless("dblink", "dblink_exec"));
    }
}
