//! pullgate-config.toml(5): the shipped `config.toml` as a page, each key with the comment above it.

use std::fmt::Write;

/// The page, in the language of mdoc(7).
pub(super) fn page(config: &str) -> String {
    let mut page = Page { text: HEAD.to_owned(), list: false, comment: Vec::new() };
    let (introduction, sections) = split(config);
    for line in introduction.lines() {
        page.line(line);
    }
    page.paragraph();
    for line in sections.lines() {
        page.line(line);
    }
    page.end_list();
    page.text.push_str(FOOT);
    page.text
}

const HEAD: &str = ".Dd November 25, 2026
.Dt PULLGATE-CONFIG.TOML 5
.Os pullgate
.Sh NAME
.Nm pullgate-config.toml
.Nd settings of the gate for container images
.Sh DESCRIPTION
";

const FOOT: &str = ".Sh SEE ALSO
.Xr pullgate 1 ,
.Xr containers-registries.d 5 ,
.Xr pullgate-policy 5 ,
.Xr pullgated 8
";

/// What stands before the first table, and the rest.
fn split(config: &str) -> (&str, &str) {
    config.find("\n[").map_or((config, ""), |end| config.split_at(end + 1))
}

struct Page {
    text: String,
    list: bool,
    /// What the file says of the key that follows.
    comment: Vec<String>,
}

impl Page {
    fn line(&mut self, line: &str) {
        if let Some(table) = line.strip_prefix('[') {
            self.end_list();
            self.put(format_args!(".Ss \\&[{table}"));
        } else if let Some(comment) = line.strip_prefix("# ") {
            self.comment.push(comment.to_owned());
        } else if line == "#" {
            self.comment.push(String::new());
        } else if line.is_empty() {
            self.paragraph();
        } else {
            self.key(line.strip_prefix('#').unwrap_or(line));
        }
    }

    fn key(&mut self, line: &str) {
        if !self.list {
            self.text.push_str(".Bl -tag -width Ds\n");
            self.list = true;
        }
        self.put(format_args!(".It Li \"{}\"", escape(line).replace('"', "\"\"")));
        self.paragraph();
    }

    /// Writes the comment; lines that are indented stay as they are.
    fn paragraph(&mut self) {
        for line in std::mem::take(&mut self.comment) {
            match line.strip_prefix("  ") {
                Some(code) => self.put(format_args!(".Dl {}", escape(code.trim_start()))),
                None if line.is_empty() => self.text.push_str(".Pp\n"),
                None => self.put(format_args!("{}", escape(&line))),
            }
        }
    }

    fn end_list(&mut self) {
        self.paragraph();
        if std::mem::take(&mut self.list) {
            self.text.push_str(".El\n");
        }
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        writeln!(self.text, "{line}").unwrap_or_default();
    }
}

fn escape(line: &str) -> String {
    let escaped = line.replace('\\', "\\e");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}
