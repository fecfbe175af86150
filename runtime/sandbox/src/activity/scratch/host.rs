//! `wasi:filesystem`, for [`Tree`].
//!
//! The bindings are those of `wasmtime-wasi`, in their form without async, since nothing here waits; so the types of its
//! descriptors and directory streams stand in the signatures. What stands in the table behind them is our own.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable, ResourceTableError};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult, IoError,
    bindings::{
        clocks::wall_clock::Datetime,
        filesystem::{preopens, types::ErrorCode},
        sync::filesystem::types::{
            self, Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
            DirectoryEntryStream, Filesize, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp,
            OpenFlags, PathFlags,
        },
    },
};

use super::{
    FileResult, PATH, Tree,
    file::File,
    now,
    stream::{Reader, Writer},
    tree::Node,
};

/// An attempt's files, and the table of all that it holds.
pub struct Files<'a> {
    pub tree: &'a mut Tree,
    pub table: &'a mut ResourceTable,
}

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = Files<'a>;
}

/// What a descriptor is.
#[derive(Clone)]
struct Open {
    node: Node,
    flags: DescriptorFlags,
}

/// A directory that is being read, and where that has come to. Names are taken from the directory as it is then.
struct Listing {
    directory: u64,
    last: Option<String>,
}

/// Puts these interfaces in the place of others of the same names.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    files: fn(&mut T) -> Files<'_>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<T, HasFiles>(linker, files)?;
    preopens::add_to_linker::<T, HasFiles>(linker, files)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl Files<'_> {
    fn open(&self, descriptor: &Resource<Descriptor>) -> Result<Open, ResourceTableError> {
        self.table.get(&Resource::<Open>::new_borrow(descriptor.rep())).cloned()
    }

    fn file(&self, descriptor: &Resource<Descriptor>, permitted: DescriptorFlags) -> FsResult<Arc<File>> {
        match self.open(descriptor)? {
            Open { node: Node::Directory(_), .. } => Err(ErrorCode::IsDirectory.into()),
            Open { flags, .. } if !flags.contains(permitted) => Err(ErrorCode::BadDescriptor.into()),
            Open { node: Node::File(file), .. } => Ok(file),
        }
    }

    fn directory(&self, descriptor: &Resource<Descriptor>) -> FsResult<u64> {
        match self.open(descriptor)?.node {
            Node::Directory(id) => Ok(id),
            Node::File(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }

    fn push<T: Send + 'static, R: 'static>(&mut self, entry: T) -> FsResult<Resource<R>> {
        match self.table.push(entry) {
            Ok(pushed) => Ok(Resource::new_own(pushed.rep())),
            Err(ResourceTableError::Full) => Err(ErrorCode::InsufficientMemory.into()),
            Err(error) => Err(FsError::trap(error)),
        }
    }

    fn status(&self, node: &Node) -> FsResult<DescriptorStat> {
        let status = self.tree.status(node)?;
        Ok(DescriptorStat {
            type_: type_of(node),
            link_count: 1,
            size: status.bytes,
            data_access_timestamp: Some(status.times.accessed),
            data_modification_timestamp: Some(status.times.modified),
            status_change_timestamp: None,
        })
    }

    fn write_stream(
        &mut self,
        descriptor: &Resource<Descriptor>,
        offset: Option<Filesize>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let file = self.file(descriptor, DescriptorFlags::WRITE)?;
        let stream: DynOutputStream = Box::new(Writer::new(file, offset));
        self.push(stream)
    }
}

fn type_of(node: &Node) -> DescriptorType {
    match node {
        Node::File(_) => DescriptorType::RegularFile,
        Node::Directory(_) => DescriptorType::Directory,
    }
}

/// By the number alone: nothing of the machine is in it.
fn hash_of(node: &Node) -> MetadataHashValue {
    MetadataHashValue { lower: node.id(), upper: 0 }
}

fn time(new: NewTimestamp) -> FileResult<Option<Datetime>> {
    match new {
        NewTimestamp::NoChange => Ok(None),
        NewTimestamp::Now => Ok(Some(now())),
        NewTimestamp::Timestamp(time) if time.nanoseconds >= 1_000_000_000 => Err(ErrorCode::Invalid),
        NewTimestamp::Timestamp(time) => Ok(Some(time)),
    }
}

impl preopens::Host for Files<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let Some(node) = self.tree.root() else { return Ok(Vec::new()) };
        let flags = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
        let root = self.table.push(Open { node, flags })?;
        Ok(vec![(Resource::new_own(root.rep()), PATH.to_owned())])
    }
}

impl types::Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        Ok(error.downcast()?.into())
    }

    fn filesystem_error_code(&mut self, error: Resource<IoError>) -> wasmtime::Result<Option<types::ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<ErrorCode>().map(|code| (*code).into()))
    }
}

impl HostDescriptor for Files<'_> {
    fn read_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let file = self.file(&descriptor, DescriptorFlags::READ)?;
        let stream: DynInputStream = Box::new(Reader::new(file, offset));
        self.push(stream)
    }

    fn write_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.write_stream(&descriptor, Some(offset))
    }

    fn append_via_stream(&mut self, descriptor: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        self.write_stream(&descriptor, None)
    }

    fn advise(
        &mut self,
        descriptor: Resource<Descriptor>,
        _offset: Filesize,
        _length: Filesize,
        _advice: Advice,
    ) -> FsResult<()> {
        self.file(&descriptor, DescriptorFlags::empty()).map(drop)
    }

    fn sync_data(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        Ok(self.open(&descriptor).map(drop)?)
    }

    fn sync(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        Ok(self.open(&descriptor).map(drop)?)
    }

    fn get_flags(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        Ok(self.open(&descriptor)?.flags)
    }

    fn get_type(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorType> {
        Ok(type_of(&self.open(&descriptor)?.node))
    }

    fn set_size(&mut self, descriptor: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        Ok(self.file(&descriptor, DescriptorFlags::WRITE)?.set_bytes(size)?)
    }

    fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let node = self.open(&descriptor)?.node;
        Ok(self.tree.set_times(&node, time(accessed)?, time(modified)?)?)
    }

    fn read(
        &mut self,
        descriptor: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let file = self.file(&descriptor, DescriptorFlags::READ)?;
        let bytes = file.read(offset, usize::try_from(length).unwrap_or(usize::MAX));
        let is_end = offset.saturating_add(bytes.len() as u64) >= file.bytes();
        Ok((bytes, is_end))
    }

    fn write(&mut self, descriptor: Resource<Descriptor>, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        self.file(&descriptor, DescriptorFlags::WRITE)?.write(offset, &bytes)?;
        Ok(bytes.len() as u64)
    }

    fn read_directory(&mut self, descriptor: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let directory = self.directory(&descriptor)?;
        self.push(Listing { directory, last: None })
    }

    fn create_directory_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let directory = self.directory(&descriptor)?;
        Ok(self.tree.create_directory(directory, &path)?)
    }

    fn stat(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.status(&self.open(&descriptor)?.node)
    }

    fn stat_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        _path_flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        self.status(&self.tree.find(self.directory(&descriptor)?, &path)?)
    }

    fn set_times_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        _path_flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let node = self.tree.find(self.directory(&descriptor)?, &path)?;
        Ok(self.tree.set_times(&node, time(accessed)?, time(modified)?)?)
    }

    fn link_at(
        &mut self,
        _descriptor: Resource<Descriptor>,
        _old_path_flags: PathFlags,
        _old_path: String,
        _new_descriptor: Resource<Descriptor>,
        _new_path: String,
    ) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    fn open_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        _path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let directory = self.directory(&descriptor)?;
        let node = self.tree.open(directory, &path, open_flags.into(), flags.contains(DescriptorFlags::WRITE))?;
        // Each write is in the file at once, so there is nothing to synchronise.
        let kept = match node {
            Node::File(_) => flags & (DescriptorFlags::READ | DescriptorFlags::WRITE),
            Node::Directory(_) => DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY,
        };
        self.push(Open { node, flags: kept })
    }

    fn readlink_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<String> {
        self.tree.find(self.directory(&descriptor)?, &path)?;
        // It is there, and no link.
        Err(ErrorCode::Invalid.into())
    }

    fn remove_directory_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let directory = self.directory(&descriptor)?;
        Ok(self.tree.remove_directory(directory, &path)?)
    }

    fn rename_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        old_path: String,
        new_descriptor: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (old, new) = (self.directory(&descriptor)?, self.directory(&new_descriptor)?);
        Ok(self.tree.rename((old, &old_path), (new, &new_path))?)
    }

    fn symlink_at(&mut self, _descriptor: Resource<Descriptor>, _old_path: String, _new_path: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    fn unlink_file_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let directory = self.directory(&descriptor)?;
        Ok(self.tree.remove_file(directory, &path)?)
    }

    fn is_same_object(&mut self, one: Resource<Descriptor>, other: Resource<Descriptor>) -> wasmtime::Result<bool> {
        Ok(self.open(&one)?.node.id() == self.open(&other)?.node.id())
    }

    fn metadata_hash(&mut self, descriptor: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        Ok(hash_of(&self.open(&descriptor)?.node))
    }

    fn metadata_hash_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        _path_flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        Ok(hash_of(&self.tree.find(self.directory(&descriptor)?, &path)?))
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Open>::new_own(descriptor.rep()))?;
        Ok(())
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    fn read_directory_entry(&mut self, stream: Resource<DirectoryEntryStream>) -> FsResult<Option<DirectoryEntry>> {
        let listing = self.table.get_mut(&Resource::<Listing>::new_borrow(stream.rep()))?;
        let Some((name, node)) = self.tree.entry_after(listing.directory, listing.last.as_deref()) else {
            return Ok(None);
        };
        listing.last = Some(name.to_owned());
        Ok(Some(DirectoryEntry { type_: type_of(node), name: name.to_owned() }))
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmtime_wasi::p2::StreamError;

    use super::{
        super::{Budget, Pool},
        *,
    };

    fn all() -> DescriptorFlags {
        DescriptorFlags::READ | DescriptorFlags::WRITE
    }

    /// Calls it with 1 MiB of scratch directory, a table of 100, and the directory.
    fn with_files(test: impl FnOnce(&mut Files<'_>, u32)) {
        let mut tree = Tree::new(Budget::new(Pool::new(1 << 20), 1 << 20));
        let mut table = ResourceTable::new();
        table.set_max_capacity(100);
        let mut files = Files { tree: &mut tree, table: &mut table };
        let (root, path) = preopens::Host::get_directories(&mut files).unwrap().remove(0);
        assert_eq!(path, "/scratch");
        test(&mut files, root.rep());
    }

    fn borrow(rep: u32) -> Resource<Descriptor> {
        Resource::new_borrow(rep)
    }

    fn create(files: &mut Files<'_>, root: u32, path: &str, flags: DescriptorFlags) -> FsResult<u32> {
        files.open_at(borrow(root), PathFlags::empty(), path.into(), OpenFlags::CREATE, flags).map(|open| open.rep())
    }

    fn code<T>(result: FsResult<T>) -> ErrorCode {
        result.err().unwrap().downcast().unwrap()
    }

    #[test]
    fn nothing_is_there_without_a_grant() {
        let mut tree = Tree::new(Budget::new(Pool::new(1 << 20), 0));
        let mut table = ResourceTable::new();
        let mut files = Files { tree: &mut tree, table: &mut table };
        assert!(preopens::Host::get_directories(&mut files).unwrap().is_empty());
    }

    #[test]
    fn a_descriptor_permits_what_it_was_opened_for() {
        with_files(|files, root| {
            let both = create(files, root, "file", all()).unwrap();
            files.write(borrow(both), b"text".to_vec(), 0).unwrap();
            let read = create(files, root, "file", DescriptorFlags::READ).unwrap();
            let write = create(files, root, "file", DescriptorFlags::WRITE).unwrap();
            assert_eq!(files.read(borrow(read), u64::MAX, 1).unwrap(), (b"ext".to_vec(), true));
            assert_eq!(files.read(borrow(read), 2, 1).unwrap(), (b"ex".to_vec(), false));
            assert_eq!(code(files.write(borrow(read), vec![1], 0)), ErrorCode::BadDescriptor);
            assert_eq!(code(files.set_size(borrow(read), 0)), ErrorCode::BadDescriptor);
            assert_eq!(code(files.append_via_stream(borrow(read))), ErrorCode::BadDescriptor);
            assert_eq!(code(files.read(borrow(write), 1, 0)), ErrorCode::BadDescriptor);
            assert_eq!(code(files.read_via_stream(borrow(write), 0)), ErrorCode::BadDescriptor);
            assert_eq!(code(files.read(borrow(root), 1, 0)), ErrorCode::IsDirectory);
            assert_eq!(code(files.read_directory(borrow(both))), ErrorCode::NotDirectory);
            assert_eq!(code(files.stat_at(borrow(both), PathFlags::empty(), "x".into())), ErrorCode::NotDirectory);
            assert!(files.is_same_object(borrow(read), borrow(write)).unwrap());
            assert!(!files.is_same_object(borrow(read), borrow(root)).unwrap());
        });
    }

    #[test]
    fn there_are_no_links() {
        with_files(|files, root| {
            create(files, root, "file", all()).unwrap();
            let names = || ("file".to_owned(), "link".to_owned());
            let (old, new) = names();
            assert_eq!(code(files.symlink_at(borrow(root), old, new)), ErrorCode::NotPermitted);
            let ((old, new), none) = (names(), PathFlags::empty());
            assert_eq!(code(files.link_at(borrow(root), none, old, borrow(root), new)), ErrorCode::NotPermitted);
            assert_eq!(code(files.readlink_at(borrow(root), "file".into())), ErrorCode::Invalid);
        });
    }

    #[test]
    fn a_full_table_is_an_error_and_not_the_end() {
        with_files(|files, root| {
            let mut held = Vec::new();
            let refused = loop {
                match create(files, root, "file", all()) {
                    Ok(descriptor) => held.push(descriptor),
                    Err(error) => break error.downcast().unwrap(),
                }
            };
            assert_eq!((refused, held.len()), (ErrorCode::InsufficientMemory, 99));
            assert_eq!(code(files.read_via_stream(borrow(held[0]), 0)), ErrorCode::InsufficientMemory);
            assert_eq!(code(files.read_directory(borrow(root))), ErrorCode::InsufficientMemory);
            HostDescriptor::drop(files, Resource::new_own(held[1])).unwrap();
            create(files, root, "file", all()).unwrap();
        });
    }

    #[test]
    fn a_number_of_something_else_is_no_descriptor() {
        with_files(|files, root| {
            let listing = files.read_directory(borrow(root)).unwrap().rep();
            assert!(files.get_flags(borrow(listing)).err().unwrap().downcast().is_err());
            assert!(files.get_flags(borrow(1000)).err().unwrap().downcast().is_err());
        });
    }

    #[test]
    fn a_stream_that_found_no_room_says_why_and_is_closed() {
        with_files(|files, root| {
            let file = create(files, root, "file", all()).unwrap();
            let stream = files.append_via_stream(borrow(file)).unwrap();
            let stream = files.table.get_mut(&stream).unwrap();
            let failed = loop {
                if let Err(error) = stream.write(vec![1; 60_000].into()) {
                    break error;
                }
            };
            assert!(matches!(stream.check_write(), Err(StreamError::Closed)));
            let StreamError::LastOperationFailed(error) = failed else { panic!("{failed}") };
            let error = files.table.push(error).unwrap();
            let code = types::Host::filesystem_error_code(files, error).unwrap();
            assert_eq!(code, Some(types::ErrorCode::InsufficientSpace));
        });
    }

    #[test]
    fn a_directory_may_change_while_it_is_read() {
        with_files(|files, root| {
            for name in ["a", "c", "e"] {
                create(files, root, name, all()).unwrap();
            }
            let listing = files.read_directory(borrow(root)).unwrap().rep();
            let next = |files: &mut Files<'_>| {
                files.read_directory_entry(Resource::new_borrow(listing)).unwrap().map(|entry| entry.name)
            };
            assert_eq!(next(files).as_deref(), Some("a"));
            files.unlink_file_at(borrow(root), "a".into()).unwrap();
            files.unlink_file_at(borrow(root), "c".into()).unwrap();
            create(files, root, "d", all()).unwrap();
            assert_eq!(
                [next(files).as_deref(), next(files).as_deref(), next(files).as_deref()],
                [Some("d"), Some("e"), None]
            );
        });
    }
}
