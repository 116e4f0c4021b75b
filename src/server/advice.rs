//! What to do about a server that does not let the proxy in, from why it does not.

use std::io;

use super::ConnectError;

/// Who logs in to what.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The user.
    pub user: &'a str,
    /// The database, as the servers call it.
    pub database: &'a str,
}

/// The oldest server, in words.
const OLDEST: &str = "PostgreSQL 13 or newer is needed";

impl Attempt<'_> {
    /// What to do about this error: a sentence, or nothing where the error says it itself.
    pub fn advice(&self, error: &ConnectError) -> Option<String> {
        let text = match error {
            ConnectError::Io(error) => return self.on_io(error),
            ConnectError::Refused { code, message } => return self.on_refusal(code, message),
            ConnectError::Timeout(_) => {
                "Check the host, the port and the firewalls between; if it only takes long, raise connect_timeout"
            }
            ConnectError::Wire(_) | ConnectError::Stuffed => {
                "Check the host and the port: what answers there does not speak PostgreSQL's protocol"
            }
            ConnectError::NoPassword => {
                "Give it in the URL (user:password@host), in PGPASSWORD, in a passfile, or with password_file"
            }
            ConnectError::NoTls(_) => {
                "Switch TLS on in the server (ssl = on in postgresql.conf), or say sslmode=prefer if the network is safe"
            }
            ConnectError::Tls(_) => {
                "If the port is PostgreSQL's, see docs/tls.md; sslmode=disable shows whether it is only TLS that fails"
            }
            ConnectError::Sasl(_) | ConnectError::Prove(_) => {
                return Some(format!(
                    "Check the password of {}; ALTER ROLE … PASSWORD sets a new one",
                    self.user
                ));
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// What to do when the socket failed.
    pub fn on_io(&self, error: &io::Error) -> Option<String> {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectError>());
        inner.map_or_else(|| io_advice(error), |inner| self.advice(inner))
    }

    /// What to do when the server said no, by its SQLSTATE.
    pub fn on_refusal(&self, code: &str, message: &str) -> Option<String> {
        let Self { user, database } = self;
        Some(match code {
            "28P01" => format!(
                "Check the password of {user} (in the URL, PGPASSWORD, a passfile or password_file), and that the role is there"
            ),
            "28000" if message.contains("no encryption") || message.contains("SSL off") => format!(
                "The server wants TLS, or has no line in pg_hba.conf for {user}, {database} and this machine without it: say \
                 sslmode=require, or add such a line and reload the server"
            ),
            "28000" if message.contains("pg_hba.conf") => format!(
                "Add a line to the server's pg_hba.conf that lets {user} into {database} from this machine, and reload the server"
            ),
            "28000" if message.contains("not permitted to log in") => format!("ALTER ROLE {user} LOGIN lets it in"),
            "28000" => format!("Create the role {user} on the servers, or name another user"),
            "3D000" => format!(
                "Create it (CREATE DATABASE {database}), or say with dbname what it is called on the servers"
            ),
            "42501" => format!("GRANT CONNECT ON DATABASE {database} TO {user} lets it in"),
            "53300" => "Raise max_connections of the server, lower connection_limit here, or look in pg_stat_activity for who has the \
                        connections"
                .to_owned(),
            "55000" => format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true lets users in"),
            "57P03" => "It is starting or stopping, and is tried again".to_owned(),
            // What is asked on every connection has been there since PostgreSQL 13.
            "42883" | "42P01" | "42703" => format!("Upgrade the server, if it is an old one: {OLDEST}"),
            "08P01" => "Check the host and the port: what answers there does not speak PostgreSQL's protocol as servers do; a pooler \
                        must not stand between Tidegate and the servers"
                .to_owned(),
            _ => return None,
        })
    }
}

fn io_advice(error: &io::Error) -> Option<String> {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, NotFound,
        PermissionDenied, UnexpectedEof,
    };
    let text = match error.kind() {
        ConnectionRefused => {
            "Nothing listens there: start PostgreSQL, or check host and port, and listen_addresses in its postgresql.conf"
        }
        HostUnreachable | NetworkUnreachable => "Check the host, the routes and the firewalls between",
        NotFound => {
            "There is no such socket: check the directory (unix_socket_directories of the server) and the port"
        }
        PermissionDenied => {
            "The user Tidegate runs as may not use the socket: check the rights of its directory, and unix_socket_permissions"
        }
        UnexpectedEof | ConnectionReset | ConnectionAborted => {
            "It has hung up: check that the port is PostgreSQL's, and look into its log"
        }
        _ if error.to_string().contains("lookup address") => {
            "The name is not known here: check how it is written, the DNS and /etc/hosts"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_is_said() {
        let attempt = Attempt { user: "app", database: "orders" };
        let refused = |code: &str, message: &str| ConnectError::Refused {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        for (error, part) in [
            (refused("28P01", "password authentication failed for user \"app\""), "password of app"),
            (
                refused(
                    "28000",
                    "no pg_hba.conf entry for host \"::1\", user \"app\", database \"orders\", no encryption",
                ),
                "sslmode=require",
            ),
            (
                refused(
                    "28000",
                    "no pg_hba.conf entry for host \"::1\", user \"app\", database \"orders\", SSL encryption",
                ),
                "pg_hba.conf",
            ),
            (refused("28000", "role \"app\" is not permitted to log in"), "LOGIN"),
            (refused("28000", "role \"app\" does not exist"), "Create the role app"),
            (refused("3D000", "database \"orders\" does not exist"), "CREATE DATABASE orders"),
            (refused("53300", "sorry, too many clients already"), "max_connections"),
            (refused("42501", "permission denied for database"), "GRANT CONNECT ON DATABASE orders TO app"),
            (refused("42883", "function pg_current_wal_lsn() does not exist"), "13 or newer"),
            (ConnectError::Io(io::ErrorKind::ConnectionRefused.into()), "Nothing listens"),
            (
                ConnectError::Io(io::Error::other(
                    "failed to lookup address information: Name or service not known",
                )),
                "DNS",
            ),
            (ConnectError::NoTls("require"), "ssl = on"),
            (ConnectError::Stuffed, "does not speak"),
        ] {
            let advice = attempt.advice(&error).unwrap_or_else(|| panic!("no advice: {error}"));
            assert!(advice.contains(part) && !advice.ends_with('.'), "{error}: {advice}");
        }
        assert_eq!(attempt.advice(&ConnectError::ClearText), None, "it says it itself");
        assert_eq!(attempt.advice(&refused("XX000", "whatever")), None);
    }
}
