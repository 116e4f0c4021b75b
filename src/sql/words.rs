//! Settings and hints that are one word out of a few.

/// The words a setting knows, when it was given another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of: {}", expected.join(", "))]
pub struct UnknownWord {
    /// Every word that would have been understood.
    pub expected: &'static [&'static str],
}

/// Declares an enum whose variants are written as one word each, in `FromStr`, `Display` and serde alike.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word, in the order in which the documentation lists them.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The value a word stands for, in any case of letters.
            pub fn parse(word: &str) -> Option<Self> {
                $(if word.eq_ignore_ascii_case($word) {
                    return Some(Self::$variant);
                })+
                None
            }

            /// The word for this value.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::sql::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::parse(word).ok_or($crate::sql::UnknownWord { expected: Self::WORDS })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;
