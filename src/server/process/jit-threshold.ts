// When V8 compiles the code of a process that only runs a node.
//
// A put that comes alone runs most functions of its path once, and V8 optimizes a function fully when it has run about
// 3,000 times. One client waits long for that, and until then a put costs up to twice what it costs afterwards. Half of
// the number brings it forward: from 3,000 puts on, a put takes a fifth less CPU time. The price is most of a second of
// compiling for each process, once, on other threads.

import { setFlagsFromString } from 'node:v8'

const CALLS_BEFORE_OPTIMIZING = 1500

/** It changes the whole process, so it is never used for an embedded node. Called before the node starts. */
export function lowerJitThreshold(): void {
  setFlagsFromString(`--invocation-count-for-turbofan=${CALLS_BEFORE_OPTIMIZING}`)
}
