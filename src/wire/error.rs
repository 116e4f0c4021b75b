//! What can be wrong with the bytes of a peer.

/// Input that is not the PostgreSQL protocol. It always ends the connection it came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length word is impossible for any message.
    #[error("invalid length {len} of a message with tag {tag:#04x}")]
    Length {
        /// The tag byte as it came.
        tag: u8,
        /// What the length word says, in bytes.
        len: usize,
    },
    /// No message has this tag.
    #[error("unknown message tag {0:#04x}")]
    Tag(u8),
    /// A string without its terminator.
    #[error("unterminated string in a message")]
    Unterminated,
    /// A body shorter or longer than its fields.
    #[error("malformed {0} message")]
    Malformed(&'static str),
    /// A start-up packet of an impossible length.
    #[error("invalid length {0} of a start-up packet")]
    StartupLength(usize),
    /// A major version that is not 3.
    #[error("unsupported frontend protocol {major}.{minor}: the server supports 3.0 to 3.2")]
    Version {
        /// Major version asked for.
        major: u16,
        /// Minor version asked for.
        minor: u16,
    },
}
