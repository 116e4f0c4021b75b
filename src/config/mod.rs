//! From what people write (a TOML file, the environment, flags) to one checked [`Settings`] value.
//!
//! Two stages. First every source is read into a layer of typed but optional values, and every value that cannot be
//! understood is noted with its origin. Then the layers are laid over each other (file, environment, flags) and what
//! they say together is checked. Nothing stops at the first mistake: [`load()`] returns all of them at once.
//!
//! This module owns all knowledge of configuration syntax and defaults. It must not know what the settings are used
//! for, it reads no environment variable and holds no global, and nothing reads configuration after it: the parts of
//! the proxy get values. Passwords live in [`Secret`] from the moment they are split out of their URL.

mod access;
mod accounts;
mod adjust;
mod admin;
mod admission;
mod check;
pub mod consistency;
mod console;
mod document;
mod endpoint;
mod file;
mod health;
mod keys;
mod layer;
mod limits;
mod listen;
mod listing;
mod load;
mod mistake;
mod node;
mod notes;
mod options;
mod passfile;
mod peers;
mod redact;
pub mod reference;
mod rule;
mod secret;
mod secret_file;
mod server_tls;
mod settings;
mod suggest;
mod tls;
mod top;
mod topology;
mod url;
mod value;
mod variables;

#[cfg(test)]
mod tests;

pub use access::AccessRules;
pub use accounts::AccountSettings;
pub use adjust::{Adjustment, NotAdjusted, adjustable};
pub use admin::AdminOpen;
pub use admission::{AdmissionSettings, FailureLimits};
pub use consistency::{Level, Lockable, Locked, OnStale, Overflow, Scope};
pub use console::{CONSOLE_NAMES, ConsoleUser};
pub use endpoint::{Endpoint, NoEndpoint, Share};
pub use limits::LimitSettings;
pub use listen::{ListenAddress, socket_path};
pub use listing::{Listed, listing};
#[cfg(fuzzing)]
pub use load::load_text;
pub use load::{Given, Sources, load, traced};
pub use mistake::{Mistake, Mistakes};
pub use node::{Address, DEFAULT_WEIGHT, Host, NodeSettings, Role};
pub use notes::{DatabaseTrace, Note, Notes, Trace};
pub use peers::{PeerId, PeerSettings};
pub use redact::redact_url;
pub use rule::{ObjectRule, Pattern, RuleSettings, StatementRule};
pub use secret::Secret;
pub use server_tls::{ChannelBinding, ServerTls, SslMode, SslNegotiation};
pub use settings::{
    ClientAuth, DatabaseSettings, LogFormat, Mode, PoolMode, PoolSettings, Settings, SpanSettings,
    UserSettings, UserTuning,
};
pub use suggest::nearest;
pub use tls::{CertificateFiles, SniSettings, Ssl, TlsSettings, TlsVersion};
pub use topology::{DiscoverySettings, NodeSource, TopologySettings};
pub use variables::{SecretFiles, SecretVariable, read_variable_file};
