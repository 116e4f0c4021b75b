//! Who a certificate says that its owner is.

use std::fmt::Write;

use rustls::pki_types::CertificateDer;
use x509_parser::der_parser::asn1_rs::{Any, Oid, Tag};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// Who a certificate says that its owner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The common name, if its subject has one.
    pub common_name: Option<String>,
    /// The whole subject as RFC 2253 writes it: what `clientname=DN` compares in PostgreSQL.
    pub distinguished_name: String,
}

/// The identity in a certificate that somebody has verified. `None`: it has none that could be trusted to mean what it
/// reads like, such as a name with a NUL in it, before which an authority's check may have stopped (CVE-2009-4034).
pub fn peer_identity(certificate: &CertificateDer<'_>) -> Option<PeerIdentity> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let common_name = match subject.iter_common_name().next() {
        Some(name) => Some(decoded(name.attr_value())?),
        None => None,
    };
    Some(PeerIdentity { common_name, distinguished_name: rfc2253(subject)? })
}

/// The subject, its most special part first. As OpenSSL writes it with `XN_FLAG_RFC2253`: what is not ASCII or not to be
/// printed as the hexadecimal digits of its UTF-8.
/// <https://www.rfc-editor.org/rfc/rfc2253#section-2>
fn rfc2253(name: &X509Name<'_>) -> Option<String> {
    let mut text = String::new();
    let sets: Vec<_> = name.iter_rdn().collect();
    for set in sets.into_iter().rev() {
        let mut separator = if text.is_empty() { "" } else { "," };
        let attributes: Vec<_> = set.iter().collect();
        for attribute in attributes.into_iter().rev() {
            text.push_str(separator);
            separator = "+";
            match short_name(attribute.attr_type()) {
                Some(name) => {
                    let value = decoded(attribute.attr_value())?;
                    let _ = write!(text, "{name}=");
                    escape(&mut text, &value);
                }
                // Nobody knows what kind of text it is.
                None => {
                    let _ = write!(text, "{}=#", attribute.attr_type().to_id_string());
                    dump(&mut text, attribute.attr_value());
                }
            }
        }
    }
    Some(text)
}

/// Text without a NUL, from any of ASN.1's kinds of strings.
fn decoded(value: &Any<'_>) -> Option<String> {
    let text = match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            std::str::from_utf8(value.data).ok()?.to_owned()
        }
        // Taken for Latin 1, as everybody does.
        Tag::T61String => value.data.iter().map(|byte| char::from(*byte)).collect(),
        Tag::BmpString => {
            let (units, []) = value.data.as_chunks::<2>() else { return None };
            char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit)))
                .collect::<Result<_, _>>()
                .ok()?
        }
        Tag::UniversalString => {
            let (units, []) = value.data.as_chunks::<4>() else { return None };
            units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect::<Option<_>>()?
        }
        _ => return None,
    };
    Some(text).filter(|text| !text.contains('\0'))
}

fn escape(out: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let is_escaped = match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => true,
            b'#' => at == 0,
            b' ' => at == 0 || at == last,
            _ => false,
        };
        match byte {
            _ if is_escaped => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
}

/// The value with its tag and length, in hexadecimal digits.
fn dump(out: &mut String, value: &Any<'_>) {
    let tag = value.header.raw_tag().map_or_else(|| vec![tag_byte(value)], <[u8]>::to_vec);
    let len = value.data.len();
    let length: Vec<u8> = match u8::try_from(len) {
        Ok(short @ 0..=127) => vec![short],
        Ok(byte) => vec![0x81, byte],
        Err(_) => {
            let bytes = len.to_be_bytes();
            let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            let count = u8::try_from(significant.len()).unwrap_or_default();
            [&[0x80 | count], significant].concat()
        }
    };
    for byte in tag.iter().chain(&length).chain(value.data) {
        let _ = write!(out, "{byte:02X}");
    }
}

fn tag_byte(value: &Any<'_>) -> u8 {
    u8::try_from(value.tag().0).unwrap_or_default()
}

/// What OpenSSL calls an attribute.
fn short_name(attribute: &Oid<'_>) -> Option<&'static str> {
    Some(match attribute.to_id_string().as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.20" => "telephoneNumber",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.97" => "organizationIdentifier",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::string::BmpString;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    fn identity(parts: &[(DnType, DnValue)]) -> Option<PeerIdentity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        let key = KeyPair::generate().unwrap();
        peer_identity(params.self_signed(&key).unwrap().der())
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.to_owned())
    }

    #[test]
    fn names_read_as_openssl_writes_them() {
        // Each as `openssl x509 -subject -nameopt RFC2253` has it.
        let one = identity(&[
            (DnType::CountryName, "DE".into()),
            (DnType::OrganizationName, utf8("Müller, Söhne + Co.")),
            (DnType::CommonName, utf8(" app#1 ")),
        ]);
        let one = one.unwrap();
        assert_eq!(one.common_name.as_deref(), Some(" app#1 "));
        assert_eq!(one.distinguished_name, "CN=\\ app#1\\ ,O=M\\C3\\BCller\\, S\\C3\\B6hne \\+ Co.,C=DE");

        let bmp = BmpString::try_from("ключ").unwrap();
        let custom = DnType::CustomDnType(vec![1, 2, 3, 4]);
        let other = identity(&[
            (DnType::CommonName, DnValue::BmpString(bmp)),
            (custom, utf8("x")),
            (DnType::OrganizationalUnitName, utf8("#<a>;\"b\"\\=\n")),
        ]);
        let other = other.unwrap();
        assert_eq!(other.common_name.as_deref(), Some("ключ"));
        assert_eq!(
            other.distinguished_name,
            "OU=\\#\\<a\\>\\;\\\"b\\\"\\\\=\\0A,1.2.3.4=#0C0178,CN=\\D0\\BA\\D0\\BB\\D1\\8E\\D1\\87"
        );
        let none = identity(&[(DnType::OrganizationName, utf8("nobody"))]).unwrap();
        assert_eq!((none.common_name, none.distinguished_name.as_str()), (None, "O=nobody"));
    }

    #[test]
    fn attack_nul_in_the_common_name_cve_2009_4034() {
        assert_eq!(identity(&[(DnType::CommonName, utf8("postgres\0.evil.example"))]), None);
        assert_eq!(
            identity(&[(DnType::CommonName, utf8("app")), (DnType::OrganizationName, utf8("x\0y"))]),
            None
        );
        assert_eq!(peer_identity(&CertificateDer::from(b"garbage".to_vec())), None);
    }
}
