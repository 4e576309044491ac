// Integers, strings and pieces of bytes in byte arrays: what the layouts of entries, rows, records and frames are made
// of. All integers are big-endian and unsigned. Every bound is checked when something is written and when it is read.
//
// `integers.ts` reads and writes at a place that the layout fixes. `Writer` and `Reader` go through a record from its
// beginning to its end. A `Reader` throws an error of the layer that reads.
//
// The folder knows no platform, so that the core and the state machine can use it: integers are made by hand rather
// than with a DataView, which would cost more for a row or an entry than all that is read through it. Text is in ASCII
// or UTF-16 here; a layer that has UTF-8 encodes it itself and writes bytes.

export * from './integers.ts'
export { Reader } from './reader.ts'
export { Writer } from './writer.ts'
