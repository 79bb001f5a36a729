//! Where a query is wrong: the parser says what, this finds the place, so that a model can mend it. Pure.

use std::panic::catch_unwind;

use promql_parser::parser::parse;

/// Most characters of the query shown before and after the fault.
const SHOWN: usize = 30;

/// The parser's message with the place: `1:7: unclosed left parenthesis, at "…"`.
pub fn told(promql: &str, message: &str) -> String {
    let at = place(promql, message).min(promql.len());
    let before = &promql[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let rest: String = promql[at..].chars().take(SHOWN).collect();
    let near = if rest.trim().is_empty() {
        let last: String = before.chars().rev().take(SHOWN).collect::<Vec<_>>().into_iter().rev().collect();
        format!("after `{}`", last.trim())
    } else {
        format!("at `{}`", rest.trim())
    };
    format!("PromQL {line}:{column}: {message}, {near}")
}

fn place(promql: &str, message: &str) -> usize {
    if message.contains("unclosed") || message.contains("unterminated") || message.contains("unexpected end")
    {
        return scan(promql).last_open.unwrap_or(promql.len());
    }
    let named = ["'", "illegal regex for "].iter().find_map(|mark| {
        let rest = message.split_once(mark)?.1;
        let word = rest.split('\'').next()?;
        (!word.is_empty()).then(|| promql.find(word)).flatten()
    });
    named.unwrap_or_else(|| end_of_sense(promql))
}

/// Brackets that are open at the end, and where the last thing that was never closed began.
struct Scan {
    closers: String,
    last_open: Option<usize>,
}

fn scan(text: &str) -> Scan {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut string: Option<(char, usize)> = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match string {
            Some(_) if escaped => escaped = false,
            Some((quote, _)) if c == '\\' && quote != '`' => escaped = true,
            Some((quote, _)) if c == quote => string = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' | '`' => string = Some((c, at)),
                '(' => open.push((')', at)),
                '[' => open.push((']', at)),
                '{' => open.push(('}', at)),
                ')' | ']' | '}' => {
                    open.pop();
                }
                _ => {}
            },
        }
    }
    let last_open = string.or_else(|| open.last().copied()).map(|(_, at)| at);
    Scan { closers: open.iter().rev().map(|(closer, _)| *closer).collect(), last_open }
}

/// The end of the longest beginning that is a query when its brackets are closed.
fn end_of_sense(promql: &str) -> usize {
    let mut ends: Vec<usize> = promql.char_indices().map(|(at, _)| at).skip(1).collect();
    ends.reverse();
    let whole = |end: &usize| {
        let beginning = &promql[..*end];
        let text = format!("{beginning}{}", scan(beginning).closers);
        let word_is_cut = beginning.ends_with(is_word) && promql[*end..].starts_with(is_word);
        !word_is_cut && catch_unwind(|| parse(&text).is_ok()).unwrap_or(false)
    };
    let end = ends.into_iter().find(whole).unwrap_or(0);
    end + (promql[end..].len() - promql[end..].trim_start().len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_with_its_place() {
        for (promql, expected) in [
            ("sum(up", "PromQL 1:4: unclosed left parenthesis, at `(up`"),
            ("rate(nope(up))", "unknown function with name 'nope', at `nope(up))`"),
            ("up{a=\"b}", "PromQL 1:6: unterminated quoted string \", at `\"b}`"),
            ("sum(rate(x[5m])) by", "PromQL 1:18: invalid promql query, at `by`"),
            ("sum(\n  up foo)", "PromQL 2:6: invalid promql query, at `foo)`"),
            ("up +", "PromQL 1:4: invalid promql query, at `+`"),
            ("up{a=~\"(\"}", "PromQL 1:8: illegal regex for (, at `(\"}`"),
            ("", "PromQL 1:1: "),
            ("é", "PromQL 1:1: "),
        ] {
            let message = parse(promql).unwrap_err();
            let told = told(promql, &message);
            assert!(told.contains(expected), "{promql}: {told}");
        }
    }
}
