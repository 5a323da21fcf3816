//! A server that answers like an endpoint of chat completions, as well or as badly as it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

/// What one request gets.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A whole answer: the only one that is paid for.
    Text(String),
    /// A status, with a `Retry-After` perhaps.
    Status(u16, Option<&'static str>),
    /// Bytes that are no JSON.
    Malformed,
    /// The first half of a whole answer, then the end of the connection.
    Cut(String),
    /// The end of the connection before anything.
    Drop,
    /// Nothing until [`Server::release`].
    Stall,
}

/// What the server saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How often each body came.
    pub(crate) bodies: BTreeMap<String, usize>,
    /// How often each body got a whole answer.
    pub(crate) paid: BTreeMap<String, usize>,
    pub(crate) requests: usize,
    pub(crate) stalled: usize,
    /// Headers of the last request.
    pub(crate) headers: String,
    /// Requests under way, now and at most.
    pub(crate) open: usize,
    pub(crate) most_open: usize,
    released: bool,
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) shared: Arc<(Mutex<Seen>, Condvar)>,
}

/// The body of a request and how often it came before.
pub(crate) type Script = dyn Fn(&Value, usize) -> Reply + Send + Sync;

impl Server {
    pub(crate) fn start(script: impl Fn(&Value, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let shared = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let script: Arc<Script> = Arc::new(script);
        let server = Self { url, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, script) = (Arc::clone(&shared), Arc::clone(&script));
                std::thread::spawn(move || serve(stream, &shared, &*script));
            }
        });
        server
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shared.0.lock().unwrap())
    }

    /// Waits until so many requests are stalled.
    pub(crate) fn wait_for_stalled(&self, count: usize) {
        let (seen, changed) = &*self.shared;
        drop(changed.wait_while(seen.lock().unwrap(), |seen| seen.stalled < count).unwrap());
    }

    /// Ends the stalled requests, whose connections close, and stalls no more.
    pub(crate) fn release(&self) {
        self.shared.0.lock().unwrap().released = true;
        self.shared.1.notify_all();
    }
}

/// One request a connection.
fn serve(stream: TcpStream, shared: &(Mutex<Seen>, Condvar), script: &Script) {
    let Some((headers, body)) = read(&stream) else { return };
    let request: Value = serde_json::from_str(&body).unwrap();
    let (seen, changed) = shared;
    let reply = {
        let mut seen = seen.lock().unwrap();
        seen.requests += 1;
        seen.open += 1;
        seen.most_open = seen.most_open.max(seen.open);
        seen.headers = headers;
        let before = seen.bodies.entry(body.clone()).or_default();
        *before += 1;
        let reply = script(&request, *before - 1);
        if let Reply::Text(_) = &reply {
            *seen.paid.entry(body).or_default() += 1;
        }
        reply
    };
    let mut stream = stream;
    let mut send = |status: u16, more: &str, body: &[u8], len: usize| {
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {len}\r\nconnection: close\r\n{more}\r\n"
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    };
    let streamed = request["stream"] == true;
    let answer = |text: &str| if streamed { pieces(text) } else { whole(text) };
    // Before the answer: whoever reads it may look at once.
    seen.lock().unwrap().open -= 1;
    match reply {
        Reply::Text(text) => {
            let body = answer(&text);
            send(200, "", body.as_bytes(), body.len());
        }
        Reply::Status(status, wait) => {
            let wait = wait.map_or(String::new(), |wait| format!("retry-after: {wait}\r\n"));
            let body = format!("no: {}", seen.lock().unwrap().headers);
            send(status, &wait, body.as_bytes(), body.len());
        }
        Reply::Malformed => send(200, "", b"data: <html>busy</html>\n", 24),
        Reply::Cut(text) => {
            let body = answer(&text);
            send(200, "", &body.as_bytes()[..body.len() / 2], body.len());
        }
        Reply::Drop => {}
        Reply::Stall => {
            let mut seen = seen.lock().unwrap();
            seen.stalled += 1;
            changed.notify_all();
            drop(changed.wait_while(seen, |seen| !seen.released).unwrap());
        }
    }
}

fn whole(text: &str) -> String {
    let message = json!({"role": "assistant", "content": text});
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 50});
    json!({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).to_string()
}

fn pieces(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(' ') {
        let piece = json!({"choices": [{"delta": {"content": word}, "finish_reason": null}]});
        write!(out, "data: {piece}\n\n").unwrap();
    }
    let end = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 50});
    out + &format!(
        "data: {end}\n\ndata: {}\n\ndata: [DONE]\n\n",
        json!({"choices": [], "usage": usage})
    )
}

fn read(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut len) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().unwrap();
        }
        headers += &line;
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    Some((headers, String::from_utf8(body).unwrap()))
}
