//! A filter's text, cut into words, texts, numbers and symbols.

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A word, or a name in backquotes.
    Word(String),
    Text(String),
    Int(i64),
    Float(f64),
    Symbol(&'static str),
    End,
}

/// A token with where it begins, in bytes.
pub(super) type Placed = (usize, Token);

/// What no longer fits into one of these is read up to here: longer ones come first.
const SYMBOLS: [&str; 13] = ["&&", "||", "!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", ",", "!"];

/// # Errors
/// Where the text cannot be cut, in bytes, and why.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, (usize, String)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            tokens.push((at, Token::End));
            return Ok(tokens);
        };
        let (token, length) = if first.is_ascii_digit() || signed(rest) || fraction(rest) {
            number(rest).map_err(|problem| (at, problem))?
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else if matches!(first, '\'' | '"') {
            let (text, length) = quoted(rest, first).ok_or((at, "the text that begins here has no end".into()))?;
            (Token::Text(text), length)
        } else if first == '`' {
            let (name, length) = quoted(rest, first).ok_or((at, "the name that begins here has no end".into()))?;
            (Token::Word(name), length)
        } else if first.is_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (Token::Word(rest[..length].to_owned()), length)
        } else {
            return Err((at, format!("{first:?} has no meaning here")));
        };
        tokens.push((at, token));
        rest = &rest[length..];
    }
}

fn signed(rest: &str) -> bool {
    let unsigned = rest.strip_prefix(['-', '+']).map(str::trim_start);
    unsigned.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) || fraction(rest))
}

fn fraction(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// A number with its length. One that is no whole number of 64 bits becomes a fraction.
fn number(rest: &str) -> Result<(Token, usize), String> {
    let bytes = rest.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut at = 0;
    if matches!(bytes[0], b'-' | b'+') {
        at = rest.len() - rest[1..].trim_start().len();
    }
    at = digits(at);
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'-' | b'+')));
        let end = digits(at + 1 + sign);
        if end > at + 1 + sign {
            at = end;
        }
    }
    if let Some(next) = rest[at..].chars().next()
        && (next.is_alphanumeric() || next == '_' || next == '.')
    {
        return Err(format!("\"{}{next}\" is no number", &rest[..at]));
    }
    let text: String = rest[..at].chars().filter(|c| !c.is_whitespace()).collect();
    let number = match text.parse() {
        Ok(number) => Token::Int(number),
        Err(_) => Token::Float(text.parse().map_err(|_| format!("{text:?} is no number"))?),
    };
    Ok((number, at))
}

/// A text in quotes, which are doubled or escaped inside; and its length with them.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => text.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                other => other,
            }),
            _ if c == quote && chars.peek().is_some_and(|(_, next)| *next == quote) => {
                chars.next();
                text.push(quote);
            }
            _ if c == quote => return Some((text, at + c.len_utf8())),
            _ => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<Token> {
        tokens(text).unwrap().into_iter().map(|(_, token)| token).collect()
    }

    #[test]
    fn numbers_are_whole_if_they_can_be() {
        let expected =
            [Token::Int(-12), Token::Float(1.5), Token::Float(0.5), Token::Float(1_000.0), Token::Float(1e20)];
        assert_eq!(cut("- 12 1.5 .5 1e3 100000000000000000000")[..5], expected);
        assert_eq!(tokens("a > 5x").unwrap_err().0, 4);
        assert_eq!(tokens("1.5.5").unwrap_err().0, 0);
        assert_eq!(tokens("0é").unwrap_err(), (0, "\"0é\" is no number".into()));
    }

    #[test]
    fn quotes_are_doubled_or_escaped() {
        let it_is = || Token::Text("It's".into());
        assert_eq!(cut(r#"'It''s' 'It\'s' "It's" `a b`"#)[..4], [it_is(), it_is(), it_is(), Token::Word("a b".into())]);
        assert_eq!(tokens("x = 'y").unwrap_err(), (4, "the text that begins here has no end".into()));
        assert!(tokens(r"'a\").is_err());
    }
}
