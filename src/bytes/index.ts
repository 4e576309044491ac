// Reads and writes integers, strings and slices in byte arrays: the parts of entries, rows, records and frames. All
// integers are big-endian and unsigned. Every bound is checked on each write and on each read.
//
// `integers.ts` reads and writes at a fixed offset. `Writer` and `Reader` process a record from its start to its end.
// The caller of a `Reader` passes the class of the error that it throws.
//
// This folder uses no API of Node, so that the core and the state machine can use it. Integers are read byte by byte,
// not with a DataView: creating a DataView for a row or an entry costs more than all reads through it. Text is
// ASCII, UTF-16 or UTF-8 (`utf8.ts`). `assertNever` is here because no other folder is below the core and the state
// machine, and so is `UnknownKindError`; `shell-word.ts` and `json-text.ts`, because the program, the node and the
// console share this folder.

export { joinAdjacent } from './adjacent.ts'
export { assertNever } from './assert-never.ts'
export { decodeBase64, encodeBase64 } from './base64.ts'
export * from './integers.ts'
export { latin1 } from './latin1.ts'
export { Reader } from './reader.ts'
export { shortened } from './shortened.ts'
export { SIPHASH_KEY_BYTES, sipHash } from './siphash.ts'
export { OTHER_VERSION, UnknownKindError } from './unknown-kind.ts'
export { decodeUtf8, encodeUtf8, utf8Length, utf8Text } from './utf8.ts'
export { Writer } from './writer.ts'
