//! Memory and tables: what an instance holds of them, and what it may.

use wasmtime::ResourceLimiter;

use crate::{GuestLimits, config::CORE_INSTANCES_MAX, error::GuestLimit, host::Fault};

/// Counts the memories and the tables of one instance, each kind together.
///
/// A refused growth is what the guest sees as `memory.grow` returning -1: it may cope, as interpreters do. Most guests
/// abort; then [`Limiter::refusal`] tells why.
#[derive(Debug)]
pub struct Limiter {
    /// Whose memory it is, for messages.
    who: &'static str,
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    table_elements_max: usize,
    refused: Option<(GuestLimit, usize)>,
}

impl Limiter {
    /// For an instance of a workflow.
    pub fn new(limits: &GuestLimits) -> Limiter {
        Limiter::with("workflow", limits.memory_bytes, limits.table_elements)
    }

    pub fn with(who: &'static str, memory_bytes_max: usize, table_elements_max: usize) -> Limiter {
        Limiter { who, memory_bytes: 0, memory_bytes_max, table_elements: 0, table_elements_max, refused: None }
    }

    /// What it holds already it keeps.
    pub fn set_limits(&mut self, limits: &GuestLimits) {
        self.memory_bytes_max = limits.memory_bytes;
        self.table_elements_max = limits.table_elements;
    }

    pub fn begin_activation(&mut self) {
        self.refused = None;
    }

    /// Linear memory that the instance holds, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What this activation asked for and was refused, if anything.
    pub fn refusal(&self) -> Option<Fault> {
        let (limit, wanted) = self.refused?;
        let message = match limit {
            GuestLimit::Table => format!(
                "the {} asked for {wanted} table elements in all; the limit is {}",
                self.who, self.table_elements_max
            ),
            _ => format!(
                "the {} asked for {wanted} bytes of memory in all; the limit is {}",
                self.who, self.memory_bytes_max
            ),
        };
        Some(Fault::limit(limit, message))
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.memory_bytes.saturating_sub(current).saturating_add(desired);
        if total > self.memory_bytes_max {
            self.refused = Some((GuestLimit::Memory, total));
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    // What is permitted must succeed: a guest that saw it fail here would go another way than on a machine with more room.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(Fault::host(format!("the server has no memory for the {}: {error:#}", self.who)).into())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let total = self.table_elements.saturating_sub(current).saturating_add(desired);
        if total > self.table_elements_max {
            self.refused = Some((GuestLimit::Table, total));
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(Fault::host(format!("the server has no memory for the {}'s table: {error:#}", self.who)).into())
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        CORE_INSTANCES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 65_536;

    fn limiter(pages: usize) -> Limiter {
        Limiter::new(&GuestLimits { memory_bytes: pages * PAGE, table_elements: 10, ..GuestLimits::default() })
    }

    #[test]
    fn all_memories_share_one_limit() {
        let mut limiter = limiter(4);
        assert!(limiter.memory_growing(0, 2 * PAGE, None).unwrap());
        assert!(limiter.memory_growing(0, PAGE, None).unwrap());
        assert!(limiter.memory_growing(PAGE, 2 * PAGE, None).unwrap());
        assert!(!limiter.memory_growing(2 * PAGE, 3 * PAGE, None).unwrap());
        assert_eq!(limiter.memory_bytes(), 4 * PAGE);
        assert!(limiter.refusal().unwrap().message.contains("the limit is 262144"));
    }

    #[test]
    fn a_module_s_own_maximum_is_not_our_refusal() {
        let mut limiter = limiter(4);
        assert!(!limiter.memory_growing(PAGE, 3 * PAGE, Some(2 * PAGE)).unwrap());
        assert!(limiter.refusal().is_none());
    }

    #[test]
    fn a_refusal_is_forgotten_by_the_next_activation() {
        let mut limiter = limiter(1);
        assert!(!limiter.table_growing(0, 11, None).unwrap());
        assert!(limiter.refusal().unwrap().message.contains("table"));
        limiter.begin_activation();
        assert!(limiter.refusal().is_none());
    }
}
