//! What is known of how this program was built.

use std::process::ExitCode;
use std::sync::LazyLock;

/// The version and the facts, a line each; what the build did not know is left out.
pub fn facts() -> &'static str {
    static FACTS: LazyLock<String> = LazyLock::new(|| {
        let known = [
            ("commit", option_env!("TIDEGATE_BUILD_COMMIT")),
            ("rustc", option_env!("TIDEGATE_BUILD_RUSTC")),
            ("target", option_env!("TIDEGATE_BUILD_TARGET")),
            ("profile", option_env!("TIDEGATE_BUILD_PROFILE")),
            ("PostgreSQL grammar", option_env!("TIDEGATE_BUILD_GRAMMAR")),
            ("TLS", option_env!("TIDEGATE_BUILD_TLS")),
        ];
        let known =
            known.into_iter().filter_map(|(name, value)| Some((name, value.filter(|v| !v.is_empty())?)));
        let lines: Vec<String> = known.map(|(name, value)| format!("{name}: {value}")).collect();
        [&[env!("CARGO_PKG_VERSION").to_owned()], lines.as_slice()].concat().join("\n")
    });
    &FACTS
}

/// Prints them.
pub fn version() -> ExitCode {
    println!("tidegate {}", facts());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::facts;

    #[test]
    fn facts_are_known() {
        for part in
            [env!("CARGO_PKG_VERSION"), "rustc: ", "target: ", "profile: ", "grammar: ", "TLS: rustls "]
        {
            assert!(facts().contains(part), "{part}: {}", facts());
        }
    }
}
