// Reads and writes integers, strings and slices in byte arrays. The layouts of entries, rows, records and frames
// consist of these. All integers are big-endian and unsigned. Every bound is checked on each write and on each read.
//
// `integers.ts` reads and writes at a place that the layout fixes. `Writer` and `Reader` go through a record from its
// beginning to its end. The caller of a `Reader` passes the class of the error that it throws.
//
// This folder uses no API of Node, so that the core and the state machine can use it. Integers are read byte by byte,
// not with a DataView: making a DataView for a row or an entry costs more than all that is read through it. Text is
// ASCII, UTF-16 or UTF-8 (`utf8.ts`).

export { joinAdjacent } from './adjacent.ts'
export * from './integers.ts'
export { latin1 } from './latin1.ts'
export { Reader } from './reader.ts'
export { encodeUtf8 } from './utf8.ts'
export { Writer } from './writer.ts'
