//! The place of a statement in the trace of the application: `traceparent` of W3C's Trace Context, which sqlcommenter
//! appends to statements. <https://www.w3.org/TR/trace-context/#traceparent-header>

/// Which span of the application a statement belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    /// The trace; not all zeros.
    pub trace: [u8; 16],
    /// The span that is the parent; not all zeros.
    pub span: [u8; 8],
    /// Whether the application records it.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads `00-trace-span-flags`; of later versions what they have in common with the first. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex::<1>(parts.next()?)?;
        let (trace, span, flags) =
            (hex::<16>(parts.next()?)?, hex::<8>(parts.next()?)?, hex::<1>(parts.next()?)?);
        let is_whole = version[0] != 0 || parts.next().is_none();
        let is_valid = version[0] != 0xff && trace != [0; 16] && span != [0; 8];
        (is_whole && is_valid).then_some(Self { trace, span, sampled: flags[0] & 1 != 0 })
    }
}

/// Bytes in lower-case hexadecimal.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_recommendation_allows() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        let parse = |text: String| TraceParent::parse(&text);
        let read = parse(format!("00-{trace}-{span}-01")).unwrap();
        assert_eq!((read.trace[0], read.trace[15], read.span[1], read.sampled), (0x4b, 0x36, 0xf0, true));
        assert!(!parse(format!("00-{trace}-{span}-00")).unwrap().sampled);
        assert!(parse(format!("01-{trace}-{span}-03-more")).unwrap().sampled, "a later version");
        for wrong in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", &trace[1..]),
            format!("00-{trace}-{span}-0ü"),
        ] {
            assert_eq!(parse(wrong.clone()), None, "{wrong}");
        }
    }
}
