;; WASI preview 1, as Go's runtime wants it, on the few calls of WASI 0.2 that a workflow may make.
;;
;; The adapter that wasmtime publishes does not fit: it takes memory by memory.grow, and Go's allocator believes that
;; nobody else does. This one keeps no state. What it needs to write to lies between 4096 and 12288: Go's linker leaves
;; these bytes to the JavaScript host of GOOS=js, and wasip1 has no use for them.
;;
;; A line `{{say: text}}` stands for instructions that write the text to standard error, as an adapter may have no data of
;; its own. (See runtime/cli/src/build/go.rs.)
(module
  (import "env" "memory" (memory 0))
  (import "wasi:clocks/wall-clock@0.2.6" "now" (func $wall_now (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $monotonic_now (result i64)))
  (import "wasi:random/random@0.2.6" "get-random-u64" (func $random_u64 (result i64)))
  (import "wasi:cli/stdout@0.2.6" "get-stdout" (func $get_stdout (result i32)))
  (import "wasi:cli/stderr@0.2.6" "get-stderr" (func $get_stderr (result i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush"
    (func $write_and_flush (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.6" "[resource-drop]output-stream" (func $drop_stream (param i32)))

  ;; Errors of preview 1.
  (global $SUCCESS i32 (i32.const 0))
  (global $BADF i32 (i32.const 8))
  (global $IO i32 (i32.const 29))
  (global $NOSYS i32 (i32.const 52))
  ;; Where results of imports and texts are put.
  (global $RESULT i32 (i32.const 4096))
  ;; What one call of blocking-write-and-flush may carry.
  (global $WRITE_MAX i32 (i32.const 4096))

  (func $write (param $fd i32) (param $from i32) (param $len i32) (result i32)
    (local $stream i32) (local $piece i32) (local $failed i32)
    (if (i32.eq (local.get $fd) (i32.const 1))
      (then (local.set $stream (call $get_stdout)))
      (else (local.set $stream (call $get_stderr))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $len)))
        (local.set $piece
          (select (local.get $len) (global.get $WRITE_MAX) (i32.lt_u (local.get $len) (global.get $WRITE_MAX))))
        (call $write_and_flush (local.get $stream) (local.get $from) (local.get $piece) (global.get $RESULT))
        (local.set $failed (i32.load8_u (global.get $RESULT)))
        (br_if $done (local.get $failed))
        (local.set $from (i32.add (local.get $from) (local.get $piece)))
        (local.set $len (i32.sub (local.get $len) (local.get $piece)))
        (br $next)))
    (call $drop_stream (local.get $stream))
    (select (global.get $IO) (global.get $SUCCESS) (local.get $failed)))

  (func (export "fd_write") (param $fd i32) (param $vectors i32) (param $count i32) (param $written i32) (result i32)
    (local $total i32) (local $len i32) (local $error i32)
    (if (i32.and (i32.ne (local.get $fd) (i32.const 1)) (i32.ne (local.get $fd) (i32.const 2)))
      (then (return (global.get $BADF))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $len (i32.load offset=4 (local.get $vectors)))
        (local.set $error (call $write (local.get $fd) (i32.load (local.get $vectors)) (local.get $len)))
        (if (local.get $error) (then (return (local.get $error))))
        (local.set $total (i32.add (local.get $total) (local.get $len)))
        (local.set $vectors (i32.add (local.get $vectors) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $written) (local.get $total))
    (global.get $SUCCESS))

  (func (export "clock_time_get") (param $clock i32) (param i64) (param $time i32) (result i32)
    (if (local.get $clock)
      ;; Go's runtime refuses a monotonic clock that stands at zero, as it does where a module is asked what it holds.
      (then (i64.store (local.get $time) (i64.add (call $monotonic_now) (i64.const 1))))
      (else
        (call $wall_now (global.get $RESULT))
        (i64.store (local.get $time)
          (i64.add
            (i64.mul (i64.load (global.get $RESULT)) (i64.const 1000000000))
            (i64.load32_u offset=8 (global.get $RESULT))))))
    (global.get $SUCCESS))
  (func (export "clock_res_get") (param $clock i32) (param $resolution i32) (result i32)
    (i64.store (local.get $resolution) (i64.const 1))
    (global.get $SUCCESS))

  (func (export "random_get") (param $to i32) (param $len i32) (result i32)
    (local $word i64)
    (block $done
      (loop $next
        (br_if $done (i32.lt_u (local.get $len) (i32.const 8)))
        (i64.store (local.get $to) (call $random_u64))
        (local.set $to (i32.add (local.get $to) (i32.const 8)))
        (local.set $len (i32.sub (local.get $len) (i32.const 8)))
        (br $next)))
    (if (local.get $len) (then (local.set $word (call $random_u64))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $len)))
        (i64.store8 (local.get $to) (local.get $word))
        (local.set $word (i64.shr_u (local.get $word) (i64.const 8)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (local.set $len (i32.sub (local.get $len) (i32.const 1)))
        (br $next)))
    (global.get $SUCCESS))

  ;; Neither arguments nor environment.
  (func $nothing (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (global.get $SUCCESS))
  (export "args_sizes_get" (func $nothing))
  (export "environ_sizes_get" (func $nothing))
  (func $got (param i32 i32) (result i32) (global.get $SUCCESS))
  (export "args_get" (func $got))
  (export "environ_get" (func $got))

  (func (export "sched_yield") (result i32) (global.get $SUCCESS))

  ;; Go's scheduler waits here where no goroutine can run and one waits for a native timer. So does its runtime when it
  ;; dies, to let other threads come to rest: there are none, and it has something to say. It is told by its arguments,
  ;; which lie side by side on a stack; the scheduler's are two lists on the heap.
  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param i32 i32) (result i32)
    (if (i32.lt_u (i32.add (i32.sub (local.get $in) (local.get $out)) (i32.const 256)) (i32.const 512))
      (then (return (global.get $SUCCESS))))
    {{say: a workflow cannot wait in real time: use workflow.Sleep, workflow.NewTimer or workflow.AwaitWithTimeout instead of time.Sleep, time.After, a time.Timer or a context's deadline}}
    unreachable)

  ;; What the program had to say is on standard error already.
  (func (export "proc_exit") (param $code i32)
    ;; The SDK's own: all is said.
    (if (i32.eq (local.get $code) (i32.const 134)) (then unreachable))
    {{say: the workflow's program has ended itself, by os.Exit or log.Fatal: return an error instead}}
    unreachable)

  ;; Three standard streams are open, and nothing else ever is.
  (func (export "fd_fdstat_get") (param $fd i32) (param $stat i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (global.get $BADF))))
    ;; A character device, without flags, with all rights.
    (i64.store (local.get $stat) (i64.const 2))
    (i64.store offset=8 (local.get $stat) (i64.const -1))
    (i64.store offset=16 (local.get $stat) (i64.const -1))
    (global.get $SUCCESS))
  (func (export "fd_fdstat_set_flags") (param $fd i32) (param i32) (result i32)
    (select (global.get $BADF) (global.get $SUCCESS) (i32.gt_u (local.get $fd) (i32.const 2))))
  (func (export "fd_close") (param $fd i32) (result i32)
    (select (global.get $BADF) (global.get $SUCCESS) (i32.gt_u (local.get $fd) (i32.const 2))))
  ;; Standard input is at its end.
  (func (export "fd_read") (param $fd i32) (param i32 i32) (param $read i32) (result i32)
    (if (local.get $fd) (then (return (global.get $BADF))))
    (i32.store (local.get $read) (i32.const 0))
    (global.get $SUCCESS))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (global.get $BADF))

  ;; Files and sockets: Go's own error says that the function is not implemented.
  (func $i (param i32) (result i32) (global.get $NOSYS))
  (export "fd_datasync" (func $i))
  (export "fd_sync" (func $i))
  (export "proc_raise" (func $i))
  (func $ii (param i32 i32) (result i32) (global.get $NOSYS))
  (export "fd_filestat_get" (func $ii))
  (export "fd_renumber" (func $ii))
  (export "fd_tell" (func $ii))
  (export "sock_shutdown" (func $ii))
  (func $iii (param i32 i32 i32) (result i32) (global.get $NOSYS))
  (export "path_create_directory" (func $iii))
  (export "path_remove_directory" (func $iii))
  (export "path_unlink_file" (func $iii))
  (export "sock_accept" (func $iii))
  (func $i5 (param i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (export "path_filestat_get" (func $i5))
  (export "path_symlink" (func $i5))
  (export "sock_send" (func $i5))
  (func $i6 (param i32 i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (export "path_readlink" (func $i6))
  (export "path_rename" (func $i6))
  (export "sock_recv" (func $i6))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (global.get $NOSYS))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (global.get $NOSYS))
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (global.get $NOSYS))
  (func $ill (param i32 i64 i64) (result i32) (global.get $NOSYS))
  (export "fd_allocate" (func $ill))
  (export "fd_fdstat_set_rights" (func $ill))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (global.get $NOSYS))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (global.get $NOSYS))
  (func $iiili (param i32 i32 i32 i64 i32) (result i32) (global.get $NOSYS))
  (export "fd_pread" (func $iiili))
  (export "fd_pwrite" (func $iiili))
  (export "fd_readdir" (func $iiili))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (global.get $NOSYS)))
