//! No input makes the parser panic, and every refusal points into the file.

use proptest::prelude::*;

use super::super::parse;
use super::{BRIDGE, REFERENCE};

/// Parses, and holds every diagnostic to its promises.
fn check(text: &str) {
    let found = match parse(text, "f") {
        Ok(parsed) => parsed.warnings,
        Err(diagnostics) => {
            assert!(!diagnostics.0.is_empty());
            diagnostics.0
        }
    };
    let lines: Vec<_> = text.split('\n').collect();
    for diagnostic in found {
        assert!((1..=lines.len()).contains(&diagnostic.line), "{diagnostic}");
        assert!((1..=lines[diagnostic.line - 1].chars().count() + 1).contains(&diagnostic.column), "{diagnostic}");
        assert!(!diagnostic.message.is_empty());
    }
}

/// Pieces that mean something in the file, and some that do not.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("[[policy.rule]]\n".to_owned()),
        Just("[[policy.zone]]\n".to_owned()),
        Just("[[station]]\n".to_owned()),
        Just("[[port]]\n".to_owned()),
        "(id|from|to|name|mac|match|port|proto|action|default|listen) = '[a-z0-9:./*\\[{-]{0,18}'\n",
        "(ports|prefixes|ip|manage) = \\['[0-9a-f:./-]{0,20}', '[0-9a-f:./*-]{0,20}'\\]\n",
        "(both|stateful|guard|learning) = (true|false|1)\n",
        "(proto|stations|zones|rules|ageing_time) = -?[0-9]{1,20}\n",
        "\\PC{0,12}",
        Just("\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text(text in "\\PC*") {
        check(&text);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(fragment(), 0..24)) {
        check(&format!("{BRIDGE}{}", pieces.concat()));
    }

    #[test]
    fn mutated_reference(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, fragment()), 1..4))
    {
        let mut characters: Vec<char> = REFERENCE.chars().collect();
        for (at, removed, inserted) in edits {
            let at = at.index(characters.len());
            let end = (at + removed).min(characters.len());
            characters.splice(at..end, inserted.chars());
        }
        check(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn reference_with_one_value_replaced(line in any::<prop::sample::Index>(), value in "\\PC{0,20}") {
        let mut lines: Vec<_> = REFERENCE.lines().map(str::to_owned).collect();
        let index = line.index(lines.len());
        if let Some((key, _)) = lines[index].clone().split_once('=') {
            lines[index] = format!("{key}= [{value:?}]");
            check(&lines.join("\n"));
            lines[index] = format!("{key}= {value:?}");
            check(&lines.join("\n"));
        }
    }
}
