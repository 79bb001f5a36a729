//! Room for recursion: cel's parser and interpreter take up to 100 KiB of stack a level in a debug build, a
//! server's thread has 2 MiB, and an overflow cannot be caught. Work comes in, its result goes out.

use std::thread;

/// Address space, of which only what is touched is used.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Runs the work on a thread with a large stack and waits for it. A panic is an error.
pub(super) fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    thread::scope(|scope| match thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work) {
        Ok(handle) => handle.join().map_err(|_| "the interpreter gave up".to_owned()),
        Err(error) => Err(format!("no thread to work on: {error}")),
    })
}
