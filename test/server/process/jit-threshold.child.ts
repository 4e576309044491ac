// Calls a function 2,500 times, with `--trace-opt`: V8 prints what it optimizes. `soon` as an argument: after
// `compileSoon`.

import { lowerJitThreshold } from '../../../src/server/process/jit-threshold.ts'

if (process.argv[2] === 'soon') lowerJitThreshold()

function called(text: string): number {
  let sum = 0
  for (let at = 0; at < text.length; at++) sum = (sum + text.charCodeAt(at)) | 0
  return sum
}

let left = 2500
function again(): void {
  called('a short text')
  if (left-- > 0) queueMicrotask(again)
}
again()
