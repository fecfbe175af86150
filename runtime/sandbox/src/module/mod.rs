//! Modules: accepting them, compiling them, and keeping them compiled.
//!
//! [`scan`] looks at a file before anything is compiled; `compile` bounds compilation, `process` and `child` being the two
//! ends of a compiler in a process of its own; `artifact` decides which compiled code is loaded, with `key`, and keeps it
//! on disk; [`Modules`] keeps it in memory and is where the others meet.

mod artifact;
pub(crate) mod child;
mod compile;
mod key;
mod process;
mod scan;

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc};

use lru::LruCache;
use mainspring_core::limits::temporal::ID_BYTES;
use parking_lot::{Condvar, Mutex};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};

use self::{artifact::Artifacts, compile::Compilers};
use crate::{
    Digest, GuestLimits, ModuleBytes, ModuleDescription, ModuleError, SandboxConfig, SandboxError, TaskFailure,
    TaskFailureKind,
    bindings::WorkflowPre,
    config::WORKFLOW_TYPES_MAX,
    host::{self, HostState},
    instance::Guest,
};

/// A module that is ready to run.
pub struct Module {
    pub digest: Digest,
    pub pre: WorkflowPre<HostState>,
    pub workflow_types: Vec<String>,
}

impl Module {
    pub fn holds(&self, workflow_type: &str) -> bool {
        self.workflow_types.iter().any(|name| name == workflow_type)
    }
}

/// All modules that this sandbox knows.
pub struct Modules {
    engine: Engine,
    linker: Linker<HostState>,
    config: SandboxConfig,
    limits: Arc<GuestLimits>,
    loaded: Mutex<LruCache<Digest, Arc<Module>>>,
    /// Modules that some thread is loading: the others wait for it instead of compiling the same once more.
    loading: Mutex<HashSet<Digest>>,
    loading_done: Condvar,
    artifacts: Artifacts,
    compilers: Compilers,
}

impl Modules {
    pub fn new(engine: Engine, config: SandboxConfig, limits: Arc<GuestLimits>) -> Result<Modules, SandboxError> {
        let linker = host::linker(&engine).map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let artifacts = Artifacts::open(config.cache_dir.as_deref(), &engine)?;
        let count = NonZeroUsize::new(config.loaded_modules).unwrap_or(NonZeroUsize::MIN);
        Ok(Modules {
            compilers: Compilers::new(&engine, &config),
            loaded: Mutex::new(LruCache::new(count)),
            loading: Mutex::default(),
            loading_done: Condvar::new(),
            engine,
            linker,
            config,
            limits,
            artifacts,
        })
    }

    pub fn loaded_count(&self) -> usize {
        self.loaded.lock().len()
    }

    pub fn compiling_count(&self) -> usize {
        self.compilers.running()
    }

    /// Accepts or refuses a module. Nothing is kept of one that is refused.
    pub fn load(&self, bytes: &[u8]) -> Result<(Arc<Module>, ModuleDescription), ModuleError> {
        let limit = self.config.module_bytes;
        if bytes.len() > limit {
            return Err(ModuleError::TooLarge { bytes: bytes.len() as u64, limit: limit as u64 });
        }
        let scanned = scan::scan(bytes)?;
        let digest = Digest::of(bytes);
        let module = self.single_flight(&digest, || match self.load_artifact(&digest) {
            Some(module) => Ok(module),
            None => self.compile(digest, bytes),
        })?;
        let description = ModuleDescription {
            digest,
            size_bytes: bytes.len() as u64,
            workflow_types: module.workflow_types.clone(),
            imports: scanned.imports,
            language: scanned.language.to_owned(),
        };
        Ok((module, description))
    }

    /// The module with this digest, from wherever it is found first.
    pub fn get(&self, digest: &Digest, modules: &dyn ModuleBytes) -> Result<Arc<Module>, TaskFailure> {
        let unusable = |problem: String| {
            TaskFailure::new(TaskFailureKind::ModuleUnusable, format!("module {digest} cannot be loaded: {problem}"))
        };
        self.single_flight(digest, || {
            if let Some(module) = self.load_artifact(digest) {
                return Ok(module);
            }
            let bytes = modules
                .module_bytes(digest)
                .map_err(|problem| {
                    TaskFailure::new(TaskFailureKind::Host, format!("module {digest} cannot be read: {problem}"))
                })?
                .ok_or_else(|| TaskFailure::module_missing(digest))?;
            let found = Digest::of(&bytes);
            if found != *digest {
                return Err(unusable(format!("the store has other bytes under its name, whose digest is {found}")));
            }
            let compiled = scan::scan(&bytes).and_then(|_| self.compile(*digest, &bytes));
            compiled.map_err(|error| match error.is_transient() {
                true => TaskFailure::new(TaskFailureKind::Host, format!("module {digest}: {error}")),
                false => unusable(error.to_string()),
            })
        })
    }

    /// Lets go of what was compiled of a module. It is compiled again when it is needed again.
    pub fn forget(&self, digest: &Digest) {
        self.loaded.lock().pop(digest);
        self.artifacts.remove(digest);
    }

    /// Finds the module in memory, or lets exactly one thread make it.
    fn single_flight<E>(
        &self,
        digest: &Digest,
        make: impl FnOnce() -> Result<Arc<Module>, E>,
    ) -> Result<Arc<Module>, E> {
        {
            let mut loading = self.loading.lock();
            loop {
                if let Some(module) = self.loaded.lock().get(digest) {
                    return Ok(module.clone());
                }
                if loading.insert(*digest) {
                    break;
                }
                self.loading_done.wait(&mut loading);
            }
        }
        // Also where `make` panics: the threads that wait must not wait for ever.
        let _done = OnDrop(|| {
            self.loading.lock().remove(digest);
            self.loading_done.notify_all();
        });
        let module = make()?;
        self.loaded.lock().put(*digest, module.clone());
        Ok(module)
    }

    fn load_artifact(&self, digest: &Digest) -> Option<Arc<Module>> {
        let component = self.artifacts.load(digest)?;
        match self.finish(*digest, component) {
            Ok(module) => Some(module),
            Err(error) => {
                tracing::warn!(%digest, %error, "a compiled module on disk is of no use; compiling it again");
                None
            }
        }
    }

    fn compile(&self, digest: Digest, bytes: &[u8]) -> Result<Arc<Module>, ModuleError> {
        let code = self.compilers.compile(bytes)?;
        let sealed = self.artifacts.seal(&digest, &code);
        drop(code);
        let component = self.artifacts.unseal(&digest, &sealed);
        let component = component
            .map_err(|problem| ModuleError::Compile(format!("what the compiler made cannot be loaded: {problem}")))?;
        let module = self.finish(digest, component)?;
        self.artifacts.save(&digest, &sealed);
        Ok(module)
    }

    /// Checks the types of imports and exports, and asks the module for its workflows.
    fn finish(&self, digest: Digest, component: Component) -> Result<Arc<Module>, ModuleError> {
        let wrong_type = |error: wasmtime::Error| ModuleError::WrongType(compile::reason(format!("{error:#}")));
        let pre = self.linker.instantiate_pre(&component).map_err(wrong_type)?;
        let pre = WorkflowPre::new(pre).map_err(wrong_type)?;
        let described = Guest::describe(&self.engine, &pre, &self.config, &self.limits);
        let workflow_types = described.map_err(|crash| ModuleError::Describe(crash.fault.message))?;
        check_workflow_types(&workflow_types)?;
        Ok(Arc::new(Module { digest, pre, workflow_types }))
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn check_workflow_types(names: &[String]) -> Result<(), ModuleError> {
    if names.is_empty() {
        return Err(ModuleError::NoWorkflows);
    }
    if names.len() > WORKFLOW_TYPES_MAX {
        return Err(ModuleError::TooComplex {
            what: "too many workflow types",
            count: names.len() as u64,
            limit: WORKFLOW_TYPES_MAX as u64,
        });
    }
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(ModuleError::BadWorkflowType("one has no name".into()));
        }
        if name.len() > ID_BYTES {
            return Err(ModuleError::BadWorkflowType(format!("one has {} bytes; the limit is {ID_BYTES}", name.len())));
        }
        if !seen.insert(name) {
            return Err(ModuleError::BadWorkflowType(format!("{name:?} is there twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_types_have_a_name_of_their_own() {
        let check =
            |names: &[&str]| check_workflow_types(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(check(&["A", "B"]), Ok(()));
        assert_eq!(check(&[]), Err(ModuleError::NoWorkflows));
        assert!(matches!(check(&["A", "A"]), Err(ModuleError::BadWorkflowType(_))));
        assert!(matches!(check(&[""]), Err(ModuleError::BadWorkflowType(_))));
        assert!(matches!(check(&[&"x".repeat(1_001)]), Err(ModuleError::BadWorkflowType(_))));
    }
}
