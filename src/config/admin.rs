//! The admin address: where it is, and what it shows to whom.

use std::net::SocketAddr;

use super::mistake::{Findings, Origin, Problem};
use super::secret::Secret;
use crate::sql::words::words;

/// So many characters cannot be found by trying; `openssl rand -hex 16` makes 32.
const SHORTEST: usize = 16;
const LONGEST: usize = 1024;

words! {
    /// What the admin address shows to whoever asks, without credentials.
    pub enum AdminOpen {
        /// Whether the process lives and is ready, in a word.
        Health = "health",
        /// That, and metrics.
        Metrics = "metrics",
        /// Everything.
        All = "all",
    }
}

/// A token must be one word of a header of HTTP.
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
pub(super) fn token(token: Secret) -> Result<Secret, Problem> {
    let text = token.expose();
    if (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(token);
    }
    Err(Problem::new(
        format!("it is not {SHORTEST} to {LONGEST} characters of ASCII without blanks"),
        "Make one that cannot be guessed, as with openssl rand -hex 16",
    ))
}

/// Whoever comes from another machine needs credentials, or it was said that none are needed.
pub(super) fn check(
    address: SocketAddr,
    token: Option<&Secret>,
    open: Option<AdminOpen>,
    findings: &mut Findings,
) {
    let origin = Origin::new("admin");
    match (token, open) {
        (Some(_), Some(AdminOpen::All)) => {
            let problem =
                Problem::new("it is open for all, so admin_token means nothing", "Leave one of them out");
            findings.mistake(&Origin::new("admin_open"), problem);
        }
        (None, Some(AdminOpen::All)) if !address.ip().is_loopback() => findings.warn(
            &origin,
            format_args!(
                "{address} can be reached from other machines and shows everything without credentials"
            ),
        ),
        (None, None) if !address.ip().is_loopback() => {
            let problem =
                format!("{address} can be reached from other machines, and no credentials are given for it");
            let advice = "Give admin_token_file (TIDEGATE_ADMIN_TOKEN_FILE), which metrics and reports ask for then; or say \
                          with admin_open (TIDEGATE_ADMIN_OPEN) what is shown without: health, metrics or all";
            findings.mistake(&origin, Problem::new(problem, advice));
        }
        _ => {}
    }
}
