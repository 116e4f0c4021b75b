//! How long certificates are good for.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// It is said so many seconds before that a certificate expires: four weeks.
const SOON: i64 = 28 * DAY;
const DAY: i64 = 24 * 60 * 60;

/// How long the certificates in a file are good for, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The file.
    pub file: PathBuf,
    /// From when on, in seconds since 1970.
    begins: i64,
    /// Until when.
    ends: i64,
}

impl Validity {
    /// Of the certificates that were read from the file at `path`.
    pub(super) fn of(path: &Path, chain: &[CertificateDer<'_>]) -> Self {
        let parsed = chain.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1));
        let (begins, ends) = parsed.fold((i64::MIN, i64::MAX), |(begins, ends), certificate| {
            let validity = certificate.validity();
            (begins.max(validity.not_before.timestamp()), ends.min(validity.not_after.timestamp()))
        });
        Self { file: path.to_owned(), begins, ends }
    }

    /// Seconds that are left at this moment; less than 0 when they are over.
    pub fn left(&self, now: SystemTime) -> i64 {
        self.ends.saturating_sub(seconds(now))
    }

    /// What is worrying about it, if something is.
    pub fn concern(&self, now: SystemTime) -> Option<String> {
        let (file, left) = (self.file.display(), self.left(now));
        let ahead = self.begins.saturating_sub(seconds(now));
        if left < 0 {
            Some(format!("the certificate in {file} has expired {} ago", days(-left)))
        } else if ahead > 0 {
            Some(format!("the certificate in {file} is not valid yet, for {}", days(ahead)))
        } else if left < SOON {
            Some(format!("the certificate in {file} expires in {}", days(left)))
        } else {
            None
        }
    }
}

fn seconds(time: SystemTime) -> i64 {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn days(seconds: i64) -> String {
    match seconds / DAY {
        0 => "less than a day".to_owned(),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_worrying_is_said() {
        let validity = Validity { file: "a.crt".into(), begins: 100 * DAY, ends: 200 * DAY };
        let at = |day: u64| UNIX_EPOCH + Duration::from_secs(day * 24 * 60 * 60);
        assert_eq!(validity.concern(at(150)), None);
        assert_eq!(validity.left(at(150)), 50 * DAY);
        assert_eq!(validity.concern(at(190)).unwrap(), "the certificate in a.crt expires in 10 days");
        assert_eq!(
            validity.concern(at(98)).unwrap(),
            "the certificate in a.crt is not valid yet, for 2 days"
        );
        let over = validity.concern(at(200) + Duration::from_secs(1)).unwrap();
        assert_eq!(over, "the certificate in a.crt has expired less than a day ago");
        assert_eq!(
            validity.concern(at(201) + Duration::from_secs(1)).unwrap(),
            "the certificate in a.crt has expired a day ago"
        );
        assert!(validity.left(at(201)) < 0);
    }
}
