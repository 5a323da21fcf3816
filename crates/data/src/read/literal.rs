//! Python literals, which some published files hold, read without evaluating anything.

use serde_json::{Map, Number, Value};

/// Deepest nesting of lists and dictionaries.
const MAX_DEPTH: usize = 64;

/// Why a text is not a literal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: expected {expected}")]
#[allow(missing_docs, reason = "the message names its fields")]
pub struct LiteralError {
    pub at: usize,
    pub expected: &'static str,
}

/// Reads one literal of Python: dictionaries with texts as keys, lists, tuples, texts, numbers,
/// `True`, `False` and `None`. A tuple becomes an array; of a repeated key the last value counts.
///
/// A subset of what `ast.literal_eval` of Python 3 takes, with the same values
/// (<https://docs.python.org/3/reference/lexical_analysis.html#literals>). The following are
/// errors, because no known file needs them and a mistake would go unnoticed: adjacent texts,
/// triple quotes, prefixes other than `u`, names of characters (`\N{…}`), unknown escapes, keys
/// that are not texts, sets, complex numbers, and numbers that JSON cannot hold. Two escapes that
/// are the halves of one character (`\ud83d\ude00`) give that character; Python leaves the two
/// halves.
///
/// # Errors
/// [`LiteralError`] with the place in the text.
///
/// ```
/// use sidereal_data::read::literal;
///
/// let value = literal::parse("{'title': \"it's\", 'price': 5.0, 'sizes': [1, None,]}").unwrap();
/// assert_eq!(value.to_string(), r#"{"price":5.0,"sizes":[1,null],"title":"it's"}"#);
/// assert_eq!(literal::parse("__import__('os')").unwrap_err().at, 0);
/// ```
pub fn parse(text: &str) -> Result<Value, LiteralError> {
    let mut parser = Parser { text, at: 0 };
    parser.skip_space();
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at == text.len() { Ok(value) } else { parser.error("the end") }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn error<T>(&self, expected: &'static str) -> Result<T, LiteralError> {
        Err(LiteralError { at: self.at, expected })
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, token: &str) -> bool {
        let is_it = self.rest().starts_with(token);
        self.at += if is_it { token.len() } else { 0 };
        is_it
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, LiteralError> {
        if depth > MAX_DEPTH {
            return self.error("less nesting");
        }
        match self.peek() {
            Some(b'{') => self.dictionary(depth),
            Some(b'[') => self.list(depth, "]").map(|(items, _)| Value::Array(items)),
            Some(b'(') => match self.list(depth, ")")? {
                // One value in parentheses is a tuple only with a comma.
                (mut items, false) if items.len() == 1 => Ok(items.pop().unwrap_or_default()),
                (items, _) => Ok(Value::Array(items)),
            },
            Some(b'\'' | b'"' | b'u' | b'U') => self.string().map(Value::String),
            Some(b'0'..=b'9' | b'.' | b'-' | b'+') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, LiteralError> {
        let words =
            [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)];
        let start = self.at;
        for (word, value) in words {
            if self.eat(word) {
                if self.rest().starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                    self.at = start;
                    break;
                }
                return Ok(value);
            }
        }
        self.error("a literal")
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value, LiteralError> {
        self.at += 1;
        let mut map = Map::new();
        loop {
            self.skip_space();
            if self.eat("}") {
                return Ok(Value::Object(map));
            }
            if !matches!(self.peek(), Some(b'\'' | b'"' | b'u' | b'U')) {
                return self.error("a text as key");
            }
            let key = self.string()?;
            self.skip_space();
            if !self.eat(":") {
                return self.error("`:`");
            }
            self.skip_space();
            let value = self.value(depth + 1)?;
            map.insert(key, value);
            self.skip_space();
            if !self.eat(",") && self.peek() != Some(b'}') {
                return self.error("`,` or `}`");
            }
        }
    }

    /// Values up to `end`, and whether the last one was followed by a comma.
    fn list(&mut self, depth: usize, end: &str) -> Result<(Vec<Value>, bool), LiteralError> {
        self.at += 1;
        let (mut items, mut comma) = (Vec::new(), true);
        loop {
            self.skip_space();
            if self.eat(end) {
                return Ok((items, comma));
            }
            if !comma {
                return self.error("`,` or the end of the list");
            }
            items.push(self.value(depth + 1)?);
            self.skip_space();
            comma = self.eat(",");
        }
    }

    fn number(&mut self) -> Result<Value, LiteralError> {
        let length = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && !"+-._".contains(c));
        let token = self.rest().get(..length.unwrap_or(self.rest().len())).unwrap_or_default();
        let unsigned = token.trim_start_matches(['+', '-']);
        let plain = token.len() - unsigned.len() <= 1
            && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && unsigned.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        let whole = unsigned.bytes().all(|b| b.is_ascii_digit());
        // Python rejects leading zeros, which once meant octal.
        let octal = whole && unsigned.len() > 1 && unsigned.starts_with('0');
        let number = match (plain && !octal, whole) {
            (false, _) => None,
            (true, true) => token.parse::<i64>().ok().map(Number::from),
            (true, false) => token.parse::<f64>().ok().and_then(Number::from_f64),
        };
        let length = token.len();
        match number {
            Some(number) => {
                self.at += length;
                Ok(Value::Number(number))
            }
            None => self.error("a number"),
        }
    }

    fn string(&mut self) -> Result<String, LiteralError> {
        let _ = self.eat("u") || self.eat("U");
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => char::from(quote),
            _ => return self.error("a quote"),
        };
        let triple = [quote; 3].iter().collect::<String>();
        if self.rest().starts_with(&triple) {
            return self.error("a text in single quotes");
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let stop = self.rest().find([quote, '\\', '\n']);
            let Some(plain) = stop.and_then(|stop| self.rest().get(..stop)) else {
                return self.error("the end of the text");
            };
            out.push_str(plain);
            self.at += plain.len();
            match self.peek() {
                Some(b'\\') => self.escape(&mut out)?,
                Some(b'\n') => return self.error("the end of the text before the end of the line"),
                _ => {
                    self.at += 1;
                    break;
                }
            }
        }
        self.skip_space();
        if matches!(self.peek(), Some(b'\'' | b'"')) {
            return self.error("a comma between texts");
        }
        Ok(out)
    }

    fn escape(&mut self, out: &mut String) -> Result<(), LiteralError> {
        let start = self.at;
        self.at += 1;
        let Some(kind) = self.rest().chars().next() else { return self.error("an escape") };
        self.at += kind.len_utf8();
        let code = match kind {
            '\n' => return Ok(()),
            '\\' | '\'' | '"' => u32::from(kind),
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'x' => self.hex(2)?,
            'u' => match self.hex(4)? {
                high @ 0xd800..0xdc00 if self.eat("\\u") => match self.hex(4)? {
                    low @ 0xdc00..0xe000 => 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                    _ => 0xd800, // no character: refused below
                },
                code => code,
            },
            'U' => self.hex(8)?,
            '0'..='7' => {
                self.at -= 1;
                let digits = self.rest().bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b));
                let digits: Vec<u32> = digits.map(|b| u32::from(b - b'0')).collect();
                self.at += digits.len();
                digits.iter().fold(0, |code, digit| code * 8 + digit)
            }
            _ => {
                self.at = start;
                return self.error("a known escape");
            }
        };
        let Some(c) = char::from_u32(code) else {
            self.at = start;
            return self.error("the escape of a character");
        };
        out.push(c);
        Ok(())
    }

    fn hex(&mut self, digits: usize) -> Result<u32, LiteralError> {
        let token = self.rest().get(..digits).unwrap_or_default();
        let plain = token.len() == digits && token.bytes().all(|b| b.is_ascii_hexdigit());
        match u32::from_str_radix(token, 16) {
            Ok(code) if plain => {
                self.at += digits;
                Ok(code)
            }
            _ => self.error("hexadecimal digits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_what_is_nearly_a_literal_is_refused() {
        for text in [
            "",
            " ",
            "x",
            "__import__('os')",
            "Truer",
            "[1 2]",
            "['a' 'b']",
            "{'a' 1}",
            "{1: 2}",
            "{'a'}",
            "[,]",
            "{,}",
            "'a",
            "'a\nb'",
            "'''a'''",
            "b'a'",
            "r'a'",
            "1j",
            "0x1f",
            "1_000",
            "012",
            "--1",
            "1e999",
            "99999999999999999999",
            "nan",
            "'\\q'",
            "'\\x4'",
            "'\\ud83d'",
            "'\\ud83d\\u0041'",
            "'\\U00110000'",
            "'\\N{DASH}'",
            "[1]]",
            "1 + 1",
            "'a' % 1",
            "(,)",
            "'\\x+4'",
            "1e",
            ".",
            "-",
        ] {
            assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(1_000_000)).is_err());
    }

    #[test]
    fn halves_of_a_character_become_it() {
        assert_eq!(parse("'\\ud83d\\ude00'").unwrap(), Value::String("😀".to_owned()));
    }
}
