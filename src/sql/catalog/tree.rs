//! The text of a parsed expression or query, as `pg_node_tree` prints it.

/// What is found in a tree that the server's own table of dependencies does not have: it leaves out the functions that
/// came with the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tree {
    /// The functions it calls by OID, each once and in order.
    pub functions: Box<[u32]>,
    /// Whether it locks the rows it shows.
    pub locks: bool,
}

/// The fields that hold a function. Operators are not among them: none that came with the server is harmful, and of
/// the others the table of dependencies knows.
const FUNCTIONS: [&str; 3] = ["funcid", "aggfnoid", "winfnoid"];

/// The OID of `current_schema()`, which the keyword `CURRENT_SCHEMA` stands for.
const CURRENT_SCHEMA_FUNCTION: u32 = 1402;

/// The number of `CURRENT_SCHEMA` among the keywords that are values; the same in every version.
const CURRENT_SCHEMA_KEYWORD: &str = "14";

impl Tree {
    /// Reads the text of one or more trees.
    ///
    /// A field is ` :name value`. A name that somebody chose so that it looks like a field can add a function here, but
    /// cannot hide one.
    pub fn read(text: &str) -> Tree {
        let mut functions = Vec::new();
        let mut locks = false;
        for (at, _) in text.match_indices(':') {
            let rest = text.get(at + 1..).unwrap_or_default();
            let Some((name, value)) = rest.split_once(' ') else { continue };
            match name {
                _ if FUNCTIONS.contains(&name) => functions.extend(number(value)),
                "op" if word(value) == CURRENT_SCHEMA_KEYWORD && ends_node(text, at) => {
                    functions.push(CURRENT_SCHEMA_FUNCTION);
                }
                "hasForUpdate" => locks |= word(value) == "true",
                _ => {}
            }
        }
        functions.sort_unstable();
        functions.dedup();
        Tree { functions: functions.into(), locks }
    }
}

/// Whether the field at `at` is the first of a SQLVALUEFUNCTION.
fn ends_node(text: &str, at: usize) -> bool {
    text.get(..at).is_some_and(|before| before.ends_with("{SQLVALUEFUNCTION "))
}

fn word(value: &str) -> &str {
    let end = value.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(value.len());
    value.get(..end).unwrap_or_default()
}

fn number(value: &str) -> Option<u32> {
    word(value).parse().ok().filter(|oid| *oid != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_functions_locks_and_current_schema() {
        let text = "({QUERY :commandType 1 :hasForUpdate true :rtable ({RANGETBLENTRY :alias {ALIAS :aliasname v \
                    :colnames (\"a\" \":funcid 7\")} :relid 99}) :targetList ({TARGETENTRY :expr {FUNCEXPR :funcid 1598 \
                    :funcresulttype 701 :args ({AGGREF :aggfnoid 2803 :aggtype 20} {WINDOWFUNC :winfnoid 3100})}} \
                    {SQLVALUEFUNCTION :op 14 :type 19} {BOOLEXPR :op 14})})";
        let tree = Tree::read(text);
        assert_eq!(*tree.functions, [7, 1402, 1598, 2803, 3100]);
        assert!(tree.locks);
    }

    #[test]
    fn finds_nothing_in_nothing() {
        for text in
            ["", ":", ":funcid", "{FUNCEXPR :funcid 0}", "{SQLVALUEFUNCTION :op 10} :hasForUpdate false"]
        {
            assert_eq!(Tree::read(text), Tree::default(), "{text}");
        }
    }
}
