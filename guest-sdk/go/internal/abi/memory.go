//go:build wasip1

package abi

import (
	"math"
	"time"
	"unsafe"
)

// An arena hands out pieces of memory that stay where they are, and that the garbage collector leaves alone until the
// arena is cleared: what guest and host hand to each other.
type arena struct {
	chunk []byte
	used  int
	// What did not fit into the chunk.
	large [][]byte
}

const chunkBytes = 16 << 10

func (a *arena) alloc(size, align uintptr) unsafe.Pointer {
	if a.chunk == nil {
		a.chunk = make([]byte, chunkBytes)
	}
	base := uintptr(unsafe.Pointer(unsafe.SliceData(a.chunk)))
	start := (base + uintptr(a.used) + align - 1) &^ (align - 1)
	if end := start + size; end <= base+uintptr(len(a.chunk)) {
		a.used = int(end - base)
		return unsafe.Add(unsafe.Pointer(unsafe.SliceData(a.chunk)), start-base)
	}
	// Go aligns what is this large to more than the 8 bytes that any value of ours needs.
	piece := make([]byte, max(size, 64))
	a.large = append(a.large, piece)
	return unsafe.Pointer(unsafe.SliceData(piece))
}

func (a *arena) clear() {
	a.used = 0
	a.large = nil
}

// What the host lays down: arguments of our exports, results of our imports.
var incoming arena

// What we lay down: arguments of imports.
var outgoing arena

// What our exports have returned, which must last until the next call.
var returned arena

// The host asks for memory by this, also while we wait for the return of an import.
//
//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	piece := incoming.alloc(uintptr(size), uintptr(align))
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(piece), size), unsafe.Slice((*byte)(old), oldSize))
	}
	return piece
}

func pointer(address uint32) unsafe.Pointer {
	return unsafe.Pointer(uintptr(address))
}

func address(p unsafe.Pointer) uint32 {
	return uint32(uintptr(p))
}

// A cursor walks over the fields of a record, as the canonical ABI lays them out: each at the next multiple of its
// alignment. Before a record, a variant or an option, and after it, `align` goes to the multiple of its own.
type cursor struct {
	at    uintptr
	arena *arena
}

func (c *cursor) align(to uintptr) {
	c.at = (c.at + to - 1) &^ (to - 1)
}

func (c *cursor) skip(bytes uintptr) {
	c.at += bytes
}

func (c *cursor) next(size uintptr) unsafe.Pointer {
	c.align(size)
	at := unsafe.Pointer(c.at)
	c.at += size
	return at
}

func (c *cursor) u8() uint8    { return *(*uint8)(c.next(1)) }
func (c *cursor) bool() bool   { return c.u8() != 0 }
func (c *cursor) u32() uint32  { return *(*uint32)(c.next(4)) }
func (c *cursor) u64() uint64  { return *(*uint64)(c.next(8)) }
func (c *cursor) f64() float64 { return math.Float64frombits(c.u64()) }

func (c *cursor) putU8(v uint8)    { *(*uint8)(c.next(1)) = v }
func (c *cursor) putU32(v uint32)  { *(*uint32)(c.next(4)) = v }
func (c *cursor) putU64(v uint64)  { *(*uint64)(c.next(8)) = v }
func (c *cursor) putF64(v float64) { c.putU64(math.Float64bits(v)) }

func (c *cursor) putBool(v bool) {
	if v {
		c.putU8(1)
	} else {
		c.putU8(0)
	}
}

// Text and bytes are copied, both ways, so nobody depends on the other's memory.

func text(at, length uint32) string {
	return string(unsafe.Slice((*byte)(pointer(at)), length))
}

func (c *cursor) text() string {
	at := c.u32()
	return text(at, c.u32())
}

func (c *cursor) bytes() []byte {
	at, length := c.u32(), c.u32()
	if length == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(pointer(at)), length)...)
}

func (a *arena) text(s string) (at, length uint32) {
	if len(s) == 0 {
		return 8, 0
	}
	piece := a.alloc(uintptr(len(s)), 1)
	copy(unsafe.Slice((*byte)(piece), len(s)), s)
	return address(piece), uint32(len(s))
}

func (c *cursor) putText(s string) {
	at, length := c.arena.text(s)
	c.putU32(at)
	c.putU32(length)
}

func (c *cursor) putBytes(b []byte) {
	c.putText(unsafe.String(unsafe.SliceData(b), len(b)))
}

// Lists.

func list[T any](at, length uint32, size uintptr, read func(*cursor) T) []T {
	if length == 0 {
		return nil
	}
	items := make([]T, length)
	for i := range items {
		c := cursor{at: uintptr(at) + uintptr(i)*size}
		items[i] = read(&c)
	}
	return items
}

func readList[T any](c *cursor, size uintptr, read func(*cursor) T) []T {
	at := c.u32()
	return list(at, c.u32(), size, read)
}

// layList lays down the items, and gives the two words by which a list is known.
func layList[T any](a *arena, items []T, size, align uintptr, write func(*cursor, *T)) (at, length uint32) {
	if len(items) == 0 {
		return 8, 0
	}
	piece := a.alloc(size*uintptr(len(items)), align)
	for i := range items {
		c := cursor{at: uintptr(piece) + uintptr(i)*size, arena: a}
		write(&c, &items[i])
	}
	return address(piece), uint32(len(items))
}

func putList[T any](c *cursor, items []T, size, align uintptr, write func(*cursor, *T)) {
	at, length := layList(c.arena, items, size, align, write)
	c.putU32(at)
	c.putU32(length)
}

// An area is a piece of zeroed memory for a result or for the arguments that do not fit into parameters.
func (a *arena) area(size, align uintptr) (unsafe.Pointer, *cursor) {
	piece := a.alloc(size, align)
	clear(unsafe.Slice((*byte)(piece), size))
	return piece, &cursor{at: uintptr(piece), arena: a}
}

// Time.

func (c *cursor) duration() time.Duration {
	c.align(8)
	seconds, nanoseconds := c.u64(), c.u32()
	c.align(8)
	if seconds > math.MaxInt64/uint64(time.Second)-1 {
		return math.MaxInt64
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanoseconds)
}

func (c *cursor) putDuration(d time.Duration) {
	d = max(d, 0)
	c.align(8)
	c.putU64(uint64(d / time.Second))
	c.putU32(uint32(d % time.Second))
	c.align(8)
}

func (c *cursor) time() time.Time {
	c.align(8)
	seconds, nanoseconds := c.u64(), c.u32()
	c.align(8)
	return time.Unix(int64(seconds), int64(nanoseconds)).UTC()
}

const durationBytes = 16

// An option of a duration; 0 stands for none, as it does in Temporal's options.
func (c *cursor) optionalDuration() time.Duration {
	c.align(8)
	present := c.bool()
	c.align(8)
	if !present {
		c.skip(durationBytes)
		return 0
	}
	return c.duration()
}

func (c *cursor) putOptionalDuration(d time.Duration) {
	c.align(8)
	c.putBool(d > 0)
	c.align(8)
	if d > 0 {
		c.putDuration(d)
	} else {
		c.skip(durationBytes)
	}
}

func (c *cursor) putDurationPointer(d *time.Duration) {
	c.align(8)
	c.putBool(d != nil)
	c.align(8)
	if d != nil {
		c.putDuration(*d)
	} else {
		c.skip(durationBytes)
	}
}

func (c *cursor) durationPointer() *time.Duration {
	c.align(8)
	present := c.bool()
	c.align(8)
	if !present {
		c.skip(durationBytes)
		return nil
	}
	d := c.duration()
	return &d
}

// An option of a text; the empty one stands for none.
func (c *cursor) optionalText() string {
	c.align(4)
	present := c.bool()
	c.align(4)
	if !present {
		c.skip(8)
		return ""
	}
	return c.text()
}

func (c *cursor) putOptionalText(s string) {
	c.align(4)
	c.putBool(s != "")
	c.align(4)
	if s != "" {
		c.putText(s)
	} else {
		c.skip(8)
	}
}
