//! A way to a server that can be frozen: connections stay, and nothing comes through any more.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Listens, and forwards to a server.
pub struct Gate {
    /// Where it forwards to.
    pub server: String,
    /// Where it listens.
    pub address: String,
    frozen: Arc<AtomicBool>,
}

impl Gate {
    /// To the server at this address.
    pub fn to(server: &str) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let gate = Gate { server: server.to_owned(), address, frozen: Arc::default() };
        let (server, frozen) = (gate.server.clone(), Arc::clone(&gate.frozen));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let upstream = TcpStream::connect(&server).unwrap();
                let back = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                for (from, to) in [(client, upstream), back] {
                    let frozen = Arc::clone(&frozen);
                    thread::spawn(move || forward(from, to, &frozen));
                }
            }
        });
        gate
    }

    /// From now on nothing comes through.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Release);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, frozen: &AtomicBool) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        while frozen.load(Ordering::Acquire) {
            // For good: the connection stays open with this thread.
            thread::park();
        }
        if to.write_all(&bytes[..read]).is_err() {
            return;
        }
    }
    // Either side's end is the other's, unless the way is frozen.
    if !frozen.load(Ordering::Acquire) {
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}
