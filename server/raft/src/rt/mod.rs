//! Time, tasks, threads, files and chance: all that a simulation has to have in its hands, and that the rest of this
//! crate takes from here alone. In a build it is tokio and the system; in this crate's own tests, inside a simulation,
//! it is the simulation.

#[cfg(test)]
mod raft;
#[cfg(not(test))]
mod real;
#[cfg(test)]
mod tested;

#[cfg(not(test))]
pub(crate) use real::*;
#[cfg(test)]
pub(crate) use tested::*;
