// Where simulated code waits: the places of the promises that are not settled. They cost much, so a run that has failed
// is repeated with them.

import { fileURLToPath } from 'node:url'
import { promiseHooks } from 'node:v8'

/** Frames of a stack that are kept: those of this package come before those of the user. */
const FRAMES_MAX = 30
/** Places that a message shows. */
const PLACES_MAX = 20
/** The directories of this package. In the bundle all files are in one. */
const OWN = ['../../jepsen-lite/', '../../src/', './'].map((path) => new URL(path, import.meta.url).href)

interface Waiting {
  readonly name: string
  readonly live: boolean
}

interface Awaited {
  readonly process: Waiting
  readonly stack: Error
}

export class AwaitedPlaces {
  readonly #current: () => Waiting | undefined
  readonly #awaited = new Map<Promise<unknown>, Awaited>()

  /** `current`: the process whose code runs. */
  constructor(current: () => Waiting | undefined) {
    this.#current = current
  }

  /** Notes promises from now on. Call the result to end that. */
  start(): () => void {
    return promiseHooks.createHook({
      init: (promise, parent) => {
        // A promise that was derived from another one: somebody awaits that one here.
        if (parent === undefined) return
        const process = this.#current()
        if (process === undefined) return
        const { stackTraceLimit } = Error
        Error.stackTraceLimit = FRAMES_MAX
        this.#awaited.set(promise, { process, stack: new Error('awaited') })
        Error.stackTraceLimit = stackTraceLimit
      },
      settled: (promise) => {
        this.#awaited.delete(promise)
      },
    }) as () => void
  }

  /** The places in the user's code, such as "worker at /app/worker.ts:12:5". */
  get places(): readonly string[] {
    const places = [...this.#awaited.values()].flatMap(({ process, stack }) => {
      // One that was killed waits for nothing.
      const frame = process.live ? userFrame(stack) : undefined
      return frame === undefined ? [] : [`${process.name} ${frame}`]
    })
    return [...new Set(places)].slice(0, PLACES_MAX)
  }
}

/** Frames that are not of this package or of Node. */
export const userFrames = (error: Pick<Error, 'stack'>): readonly string[] =>
  (error.stack ?? '')
    .split('\n')
    .filter((line) => isFrame(line) && !isOwn(line))
    .map((line) => line.trim())

/** The frames of code that this package has called, and that has thrown. */
export const calledFrames = (error: Error): readonly string[] => {
  const { stack = '' } = error
  const lines = stack.split('\n')
  const end = lines.findIndex((line) => isFrame(line) && isOfPackage(line))
  return userFrames({ stack: lines.slice(0, end === -1 ? lines.length : end).join('\n') })
}

/** The message of an error and its frames, without those of this package and of Node. */
export const userStack = (error: Error): string =>
  (error.stack ?? String(error))
    .split('\n')
    .filter((line) => !isFrame(line) || !isOwn(line))
    .join('\n')

const isFrame = (line: string): boolean => /^\s+at /.test(line)

export const userFrame = (error: Error): string | undefined => userFrames(error)[0]

const isOwn = (frame: string): boolean => /\(?node:|<anonymous>\)?$/.test(frame) || isOfPackage(frame)

const isOfPackage = (frame: string): boolean =>
  OWN.some((directory) => frame.includes(directory) || frame.includes(fileURLToPath(directory)))
