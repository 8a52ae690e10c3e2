//! Offers, and what becomes of each.

use super::*;

const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The window of the answer, `None` where the offer did not name one.
type Agreed = Option<Option<u8>>;

fn agreed(headers: &[&str]) -> Agreed {
    let agreement = negotiate(headers.iter().copied())?;
    let rest = agreement.answer().strip_prefix(PLAIN).unwrap();
    let named = rest.strip_prefix("; server_max_window_bits=").map(|bits| bits.parse().unwrap());
    assert_eq!(rest.is_empty(), named.is_none());
    assert!(named.is_none_or(|bits: u8| bits == agreement.window.bits()));
    assert!(named.is_some() || agreement.window == Window::Wide);
    Some(named)
}

const YES: Agreed = Some(None);
const NARROW: Agreed = Some(Some(9));
const WIDE: Agreed = Some(Some(15));
const NO: Agreed = None;

/// What stands behind the name of the extension.
const PARAMETERS: [(&str, Agreed); 60] = [
    ("", YES),
    ("; server_no_context_takeover", YES),
    ("; client_no_context_takeover", YES),
    ("; client_no_context_takeover; server_no_context_takeover", YES),
    ("; client_max_window_bits", YES),
    ("; client_max_window_bits=8", YES),
    ("; client_max_window_bits=15", YES),
    ("; client_max_window_bits=\"10\"", YES),
    ("; server_max_window_bits=9", NARROW),
    ("; server_max_window_bits=10", NARROW),
    ("; server_max_window_bits=14", NARROW),
    ("; server_max_window_bits=15", WIDE),
    ("; server_max_window_bits=\"9\"", NARROW),
    ("; server_max_window_bits=\"1\\5\"", WIDE),
    (";server_max_window_bits=12;client_max_window_bits", NARROW),
    ("\t;  server_max_window_bits \t=  \"12\"\t ; client_max_window_bits = 9 ", NARROW),
    // zlib needs 9 bits.
    ("; server_max_window_bits=8", NO),
    // Out of range, or not the plain decimal form.
    ("; server_max_window_bits=7", NO),
    ("; server_max_window_bits=16", NO),
    ("; server_max_window_bits=265", NO),
    ("; server_max_window_bits=08", NO),
    ("; server_max_window_bits=09", NO),
    ("; server_max_window_bits=+9", NO),
    ("; server_max_window_bits=-1", NO),
    ("; server_max_window_bits=9.0", NO),
    ("; server_max_window_bits=0x9", NO),
    ("; server_max_window_bits=nine", NO),
    ("; server_max_window_bits=٩", NO),
    ("; server_max_window_bits=1 0", NO),
    ("; server_max_window_bits=", NO),
    ("; server_max_window_bits=\"\"", NO),
    ("; server_max_window_bits", NO),
    ("; client_max_window_bits=7", NO),
    ("; client_max_window_bits=16", NO),
    ("; client_max_window_bits=08", NO),
    ("; client_max_window_bits=-1", NO),
    ("; client_max_window_bits=", NO),
    // A value where none may stand.
    ("; server_no_context_takeover=1", NO),
    ("; client_no_context_takeover=true", NO),
    ("; client_no_context_takeover=", NO),
    // Twice the same.
    ("; server_no_context_takeover; server_no_context_takeover", NO),
    ("; client_no_context_takeover; client_no_context_takeover", NO),
    ("; server_max_window_bits=15; server_max_window_bits=15", NO),
    ("; server_max_window_bits=9; server_max_window_bits=15", NO),
    ("; client_max_window_bits; client_max_window_bits=9", NO),
    // Not defined: other names, and these in other letters.
    ("; unknown", NO),
    ("; unknown=1; client_max_window_bits", NO),
    ("; Server_No_Context_Takeover", NO),
    ("; SERVER_MAX_WINDOW_BITS=9", NO),
    // Malformed.
    (";", NO),
    ("; ; client_max_window_bits", NO),
    ("; =9", NO),
    ("; server_max_window_bits==9", NO),
    ("; server_max_window_bits=\"9", NO),
    ("; server_max_window_bits=9\"", NO),
    ("; server_max_window_bits=\"9\"9", NO),
    ("; server_max_window_bits=\"9\\", NO),
    (" client_max_window_bits", NO),
    ("; \"client_max_window_bits\"", NO),
    ("=1", NO),
];

#[test]
fn one_offer_is_met_or_declined() {
    for (parameters, expected) in PARAMETERS {
        let offer = format!("permessage-deflate{parameters}");
        assert_eq!(agreed(&[&offer]), expected, "{offer}");
    }
}

#[test]
fn the_first_offer_that_can_be_met_is_taken_wherever_it_stands() {
    let deflate = "permessage-deflate";
    for (headers, expected) in [
        (&[][..], NO),
        (&[""], NO),
        (&[" , ,"], NO),
        (&["permessage-bzip2"], NO),
        (&["Permessage-Deflate"], NO),
        (&["permessage-deflated"], NO),
        (&["x-webkit-deflate-frame"], NO),
        (&["\"permessage-deflate\""], NO),
        (&["permessage-bzip2, permessage-deflate"], YES),
        (&["permessage-deflate, permessage-bzip2"], YES),
        (&["permessage-bzip2", deflate], YES),
        (&[deflate, "permessage-bzip2"], YES),
        (&[",, permessage-deflate ,,"], YES),
        (&["  permessage-deflate\t"], YES),
        // As in RFC 7692 7.1.3: the second is the client's way to fall back.
        (&["permessage-deflate; server_max_window_bits=10, permessage-deflate"], NARROW),
        (&["permessage-deflate; server_max_window_bits=8, permessage-deflate"], YES),
        (&["permessage-deflate; server_max_window_bits=8", deflate], YES),
        (&["permessage-deflate; x, permessage-deflate; server_max_window_bits=15"], WIDE),
        (&[deflate, "permessage-deflate; server_max_window_bits=9"], YES),
        // Separators inside quotes separate nothing.
        (&["other; a=\"x, permessage-deflate\""], NO),
        (&["other; a=\"x, \\\", permessage-deflate\", permessage-deflate"], YES),
        (&["permessage-deflate; a=\"; server_max_window_bits=9\""], NO),
        // Quotes that never end take the rest of their header along, and no other.
        (&["permessage-deflate; a=\"x, permessage-deflate"], NO),
        (&["other; a=\"x, permessage-deflate", deflate], YES),
        // Outside quotes a backslash means nothing.
        (&["other\\, permessage-deflate"], YES),
        (&["other\\\", permessage-deflate"], NO),
    ] {
        assert_eq!(agreed(headers), expected, "{headers:?}");
    }
}
