use super::*;

fn text(name: &str, text: &str) -> Text {
    Text { name: name.to_owned(), text: text.to_owned() }
}

/// The lines of a text as they are written in a test: fields divided by `|`, words by `,`, quoted ones in `<>`.
fn lines(source: &str, files: &[(&str, &str)]) -> Result<Vec<String>, Vec<(String, usize)>> {
    let find = |name: &str| files.iter().find(|(known, _)| *known == name).map(|(name, s)| text(name, s));
    let mut read = |_: &str, wanted: Wanted<'_>| match wanted {
        Wanted::File(name) => find(name).map(|text| vec![text]).ok_or_else(|| format!("no {name}")),
        Wanted::IfExists(name) => Ok(find(name).into_iter().collect()),
        Wanted::Folder(name) => {
            Ok(files.iter().filter(|(known, _)| known.starts_with(name)).map(|(n, s)| text(n, s)).collect())
        }
    };
    let (lines, faults) = super::read(&text("main", source), &mut read);
    if !faults.is_empty() {
        return Err(faults.into_iter().map(|fault| (fault.file.to_string(), fault.line)).collect());
    }
    let word = |word: &Word| if word.is_quoted { format!("<{}>", word.text) } else { word.text.clone() };
    let field = |words: &Vec<Word>| words.iter().map(word).collect::<Vec<_>>().join(",");
    let shown = |line: Line| {
        let fields: Vec<_> = line.fields.iter().map(field).collect();
        format!("{}:{} {}", line.file, line.number, fields.join("|"))
    };
    Ok(lines.into_iter().map(shown).collect())
}

fn one(source: &str) -> String {
    let lines = lines(source, &[]).unwrap_or_else(|faults| panic!("{source}: {faults:?}"));
    assert_eq!(lines.len(), 1, "{source}: {lines:?}");
    lines[0].strip_prefix("main:1 ").unwrap_or(&lines[0]).to_owned()
}

#[test]
fn fields_are_divided_by_blanks_and_words_by_commas() {
    assert_eq!(one("host  all\tall 10.0.0.0/8 trust"), "host|all|all|10.0.0.0/8|trust");
    assert_eq!(one("a b,c d"), "a|b,c|d");
    assert_eq!(one("a b, c d"), "a|b,c|d");
    assert_eq!(one("a b ,c d"), "a|b|c|d");
    assert_eq!(one("a b,,c d,"), "a|b,c|d");
    assert_eq!(one(" , a"), "a");
    assert_eq!(one("a b\r"), "a|b");
}

#[test]
fn quotation_marks_make_names() {
    assert_eq!(one(r#""all" x"#), "<all>|x");
    assert_eq!(one(r#""a b, c" x"#), "<a b, c>|x");
    assert_eq!(one(r#""a""b" x"#), r#"<a"b>|x"#);
    assert_eq!(one(r#"a"b c"d x"#), "ab cd|x");
    assert_eq!(one(r#""" x"#), "<>|x");
    assert_eq!(one(r#"a "x#y" b#c d"#), "a|<x#y>|b");
    assert_eq!(one(r#""@file" x"#), "<@file>|x");
    assert_eq!(lines("a\n\"b\n", &[]), Err(vec![("main".to_owned(), 2)]));
}

#[test]
fn comments_and_empty_lines_say_nothing() {
    assert_eq!(lines("# a\n\n   \n  # b\n,\na # c\n", &[]).unwrap(), ["main:6 a"]);
}

#[test]
fn lines_are_continued() {
    assert_eq!(lines("a \\\nb\nc", &[]).unwrap(), ["main:1 a|b", "main:3 c"]);
    assert_eq!(lines("# a \\\nb\nc", &[]).unwrap(), ["main:3 c"]);
    assert_eq!(lines("a\\\\\n\nb", &[]).unwrap(), ["main:1 a\\", "main:3 b"]);
    assert_eq!(lines("a \\\r\nb\r\n", &[]).unwrap(), ["main:1 a|b"]);
    assert_eq!(lines("a \\", &[]).unwrap(), ["main:1 a"]);
}

#[test]
fn files_are_read_where_they_are_named() {
    let files = [
        ("names", "x, y # z\n\n\"v w\"\n@more\n"),
        ("more", "q"),
        ("rules", "b 1\nc 2"),
        ("d/1", "e 4"),
        ("d/2", "f 5\n include more\n"),
    ];
    let source =
        "a @names,k 0\ninclude rules\ninclude_if_exists none\ninclude_if_exists rules\ninclude_dir d/\nz 9 9";
    let found = lines(source, &files).unwrap();
    let wanted = [
        "main:1 a|x,y,<v w>,q,k|0",
        "rules:1 b|1",
        "rules:2 c|2",
        "rules:1 b|1",
        "rules:2 c|2",
        "d/1:1 e|4",
        "d/2:1 f|5",
        "more:1 q",
        "main:6 z|9|9",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_where_it_is_named() {
    let files = [("rules", "x\n@gone y"), ("empty", "# nobody\n")];
    let source = "include gone\na @gone\na @empty b\ninclude rules";
    let faults = [("main", 1), ("main", 2), ("main", 3), ("rules", 2)];
    assert_eq!(lines(source, &files), Err(faults.map(|(name, line)| (name.to_owned(), line)).to_vec()));
}

#[test]
fn files_that_name_themselves_come_to_an_end() {
    let files = [("loop", "include loop"), ("twice", "include twice\ninclude twice"), ("names", "@names")];
    for source in ["include loop", "include twice", "a @names"] {
        assert!(lines(source, &files).is_err(), "{source}");
    }
}
