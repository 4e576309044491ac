// The threshold at which V8 compiles the code of a process that only runs a node.
//
// A single put runs most functions of its path once, and V8 optimizes a function fully when it has run about 3,000
// times. One client waits long for that, and until then a put costs up to twice what it costs afterwards. With half of
// the threshold, a put takes a fifth less CPU time from 3,000 puts on. The price is most of a second of compiling for
// each process, once, on other threads.

import { setFlagsFromString } from 'node:v8'

const CALLS_BEFORE_OPTIMIZING = 1500

/** Lowers the threshold of the whole process, so never for an embedded node. Called before the node starts. */
export function lowerJitThreshold(): void {
  setFlagsFromString(`--invocation-count-for-turbofan=${CALLS_BEFORE_OPTIMIZING}`)
}
