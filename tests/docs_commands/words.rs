//! As much of the shell as it takes to find the commands in a block: quotes, comments, continued lines, separators, here
//! documents. What stands in `$(…)` belongs to the word it is in.

/// The commands of `text`, each as its words. Redirections are left out.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let mut reader = Reader { rest: text, commands: Vec::new(), command: Vec::new(), heredocs: Vec::new() };
    while reader.step() {}
    reader.end_command();
    reader.commands
}

struct Reader<'a> {
    rest: &'a str,
    commands: Vec<Vec<String>>,
    command: Vec<String>,
    /// The words that end here documents which begin at the next line.
    heredocs: Vec<String>,
}

impl Reader<'_> {
    /// Takes a word or a separator. Returns whether there was anything.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        match first {
            '\n' => {
                self.take(1);
                self.end_command();
                self.skip_heredocs();
            }
            ' ' | '\t' => self.take(1),
            '\\' if self.rest.starts_with("\\\n") => self.take(2),
            '#' => self.take(self.rest.find('\n').unwrap_or(self.rest.len())),
            ';' | '&' | '|' | '(' | ')' => {
                self.take(1);
                self.end_command();
            }
            '<' | '>' => self.redirection(),
            _ => {
                let word = self.word();
                // 2>file: the number belongs to the redirection.
                let is_descriptor =
                    word.bytes().all(|byte| byte.is_ascii_digit()) && self.rest.starts_with(['<', '>']);
                if !is_descriptor {
                    self.command.push(word);
                }
            }
        }
        true
    }

    fn take(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn end_command(&mut self) {
        if !self.command.is_empty() {
            self.commands.push(std::mem::take(&mut self.command));
        }
    }

    fn redirection(&mut self) {
        let is_heredoc = self.rest.starts_with("<<");
        self.take(self.rest.find(|c| !matches!(c, '<' | '>' | '&' | '-' | ' ')).unwrap_or(self.rest.len()));
        let target = self.word();
        if is_heredoc {
            self.heredocs.push(target);
        }
    }

    fn skip_heredocs(&mut self) {
        for end in std::mem::take(&mut self.heredocs) {
            let mut line = "";
            while line.trim_start() != end && !self.rest.is_empty() {
                let length = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
                line = self.rest[..length].trim_end_matches('\n');
                self.rest = &self.rest[length..];
            }
        }
    }

    /// A word, without its quotes.
    fn word(&mut self) -> String {
        let mut word = String::new();
        let (mut quote, mut depth) = (None, 0_u32);
        let mut characters = self.rest.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            match (quote, c) {
                (None, ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | ')') if depth == 0 => {
                    self.rest = &self.rest[at..];
                    return word;
                }
                (None, '\'' | '"') if depth == 0 => quote = Some(c),
                (Some(open), _) if open == c => quote = None,
                (None | Some('"'), '\\') => word.extend(characters.next().map(|(_, c)| c)),
                (_, '(') if word.ends_with('$') || depth > 0 => {
                    depth += 1;
                    word.push(c);
                }
                (_, ')') if depth > 0 => {
                    depth -= 1;
                    word.push(c);
                }
                _ => word.push(c),
            }
        }
        self.rest = "";
        word
    }
}

#[test]
fn commands_are_found() {
    let text = "A=1 B='x y' tidegate run \\\n  --listen \"a b\"   # a comment\n\
                one && two; three | four >out 2>&1 <in\n\
                psql <<'SQL'\nselect 'no; command';\nSQL\n\
                curl -H \"Bearer $(cat /a b)\" url\necho a#b\n";
    let wanted: [&[&str]; 8] = [
        &["A=1", "B=x y", "tidegate", "run", "--listen", "a b"],
        &["one"],
        &["two"],
        &["three"],
        &["four"],
        &["psql"],
        &["curl", "-H", "Bearer $(cat /a b)", "url"],
        &["echo", "a#b"],
    ];
    assert_eq!(
        commands(text),
        wanted.map(|words| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    );
}
