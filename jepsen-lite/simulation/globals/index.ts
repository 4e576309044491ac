// Globals of simulated processes: clocks, timers, randomness, output, listeners of `process`, and work on the thread
// pool; real I/O is refused. Where no process runs, code finds what was there before, so a test runner continues to
// work.
//
// Code sees the replacement through global objects, through `import` of a module of Node, and through `require`. Code
// that has kept a function before calls the real one: `const { setTimeout } = require('node:timers')`, or
// `const sleep = promisify(setTimeout)` at the top of a module. In a context of node:vm, as Jest and some pools of
// Vitest have, an `import` of a single function keeps it as well. `kept.ts` finds most such calls.

import { replaceClocks } from './clocks.ts'
import { replaceFetch } from './fetch.ts'
import { replaceIdentity } from './identity.ts'
import { findKept } from './kept.ts'
import { replaceMicrotasks } from './microtasks.ts'
import { replaceOutput } from './output.ts'
import { replaceProcessEvents } from './process-events.ts'
import { type ProcessGlobals, setCurrentProcess } from './process-globals.ts'
import { replaceRandomness } from './randomness.ts'
import { replaceIo } from './refusals.ts'
import { Replacements } from './replacements.ts'
import { replaceTimerPromises } from './timer-promises.ts'
import { replaceTimers } from './timers.ts'
import { replaceWork } from './work.ts'

export type { Cancellable, ProcessGlobals } from './process-globals.ts'
export { realImmediate, realNow, realProcess } from './real.ts'

const { syncBuiltinESMExports } = process.getBuiltinModule('node:module')
const timers = process.getBuiltinModule('node:timers')

const SUBJECTS = [
  replaceTimers,
  replaceTimerPromises,
  replaceMicrotasks,
  replaceClocks,
  replaceRandomness,
  replaceIdentity,
  replaceProcessEvents,
  replaceIo,
  replaceOutput,
  replaceFetch,
  replaceWork,
]

/** The mark of a replacement, on a module that all copies of this one share. */
const REPLACED = Symbol.for('quorate: replaced globals')

/**
 * From now on code finds the globals of the process that `current` returns; undefined: the real ones. Returns a
 * function that gives everything back. Throws and changes nothing if globals are replaced already.
 */
export function replaceGlobals(current: () => ProcessGlobals | undefined): () => void {
  if (REPLACED in timers)
    throw new Error('globals are replaced already: one simulation at a time in a thread')
  const replacements = new Replacements()
  const endFinding = findKept()
  let isReplaced = true
  const giveBack = (): void => {
    if (!isReplaced) return
    isReplaced = false
    setCurrentProcess(undefined)
    endFinding()
    replacements.undo()
    syncBuiltinESMExports()
  }
  try {
    replacements.mark(timers, REPLACED)
    for (const replace of SUBJECTS) replace(replacements)
    syncBuiltinESMExports()
  } catch (error) {
    giveBack()
    throw error
  }
  setCurrentProcess(current)
  return giveBack
}
