// The real event loop and the real clock, for the simulation itself. They are found where fake timers of test runners
// do not replace them, so it does not matter whether these were installed when this module was loaded.

const { scheduler } = process.getBuiltinModule('node:timers/promises')
const { performance } = process.getBuiltinModule('node:perf_hooks')

/**
 * The process that Node notifies. Jest runs tests in a context of node:vm, whose global `process` is a copy with other
 * listeners, and gives modules that copy as `node:process` as well.
 */
export const realProcess: NodeJS.Process = process.getBuiltinModule('node:vm').runInThisContext('process')

/** Fake timers replace `setImmediate` and own methods of `scheduler`, but no method of its prototype. */
const { yield: nextTurn }: typeof scheduler = Object.getPrototypeOf(scheduler)
const { now }: typeof performance = Object.getPrototypeOf(performance)

/** Runs it in the next turn of the real event loop. */
export function realImmediate(run: () => void): void {
  void nextTurn.call(scheduler).then(run)
}

/** Milliseconds of the real clock, for limits in real time. */
export const realNow = (): number => now.call(performance)
