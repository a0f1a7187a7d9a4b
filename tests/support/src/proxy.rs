//! A server's double that loses what it is told to: it stands between a client and a MySQL server, and cuts the connection at
//! a commit.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The statement, as the text protocol has it: the command and the words.
const COMMIT: &[u8] = b"\x03COMMIT";

/// Where a commit is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never hears it.
    Request,
    /// The server does it, and the client never hears of it.
    Answer,
}

/// A proxy, for as long as the process lives.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    commits: Arc<AtomicUsize>,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// Stands before this server, as `host:port`. `cut` says of each commit, counted from 0, what happens to it.
    pub fn before(server: &str, cut: impl Fn(usize) -> Option<Cut> + Send + Sync + 'static) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (commits, cuts): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (server, cut, counted) = (server.to_owned(), Arc::new(cut), (Arc::clone(&commits), Arc::clone(&cuts)));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                let (cut, (commits, cuts)) = (Arc::clone(&cut), counted.clone());
                std::thread::spawn(move || forward(&client, &upstream, cut.as_ref(), &commits, &cuts));
            }
        });
        Proxy { address, commits, cuts }
    }

    /// How many commits came by.
    pub fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }

    /// How many were cut.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }

    /// The same database, through this.
    pub fn url(&self, direct: &str) -> String {
        let url = direct.replace(&authority(direct), &self.address.to_string());
        // Of what is encrypted nothing can be cut.
        format!("{url}{}ssl-mode=DISABLED", if url.contains('?') { '&' } else { '?' })
    }
}

/// `host:port` of a MySQL url.
pub fn authority(url: &str) -> String {
    let place = url.rsplit_once('@').unwrap().1;
    place.split_once('/').unwrap().0.to_owned()
}

fn forward(
    client: &TcpStream,
    server: &TcpStream,
    cut: &dyn Fn(usize) -> Option<Cut>,
    commits: &AtomicUsize,
    cuts: &AtomicUsize,
) {
    // Answers go back by themselves, until one is to be lost.
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let answers = std::thread::spawn(move || std::io::copy(&mut from, &mut to).map(drop).unwrap_or_default());
    let mut buffer = vec![0; 64 << 10];
    let (mut from, mut to) = (client, server);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let what = buffer[..read].ends_with(COMMIT).then(|| cut(commits.fetch_add(1, Ordering::Relaxed))).flatten();
        match what {
            None => {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
                continue;
            }
            Some(Cut::Request) => {}
            Some(Cut::Answer) => {
                // Deaf from here on: what the server says next reaches nobody.
                let _ = client.shutdown(Shutdown::Write);
                let _ = to.write_all(&buffer[..read]);
                // Its answer, so that it is done before the client tries again.
                answers.join().ok();
            }
        }
        cuts.fetch_add(1, Ordering::Relaxed);
        break;
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
