// Calls a function 2,500 times. With `--trace-opt` V8 prints the functions that it optimizes. With the argument `soon`
// the threshold is lowered first.

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
