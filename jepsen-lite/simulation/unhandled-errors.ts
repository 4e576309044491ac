// Errors of simulated code that nobody handles: rejected promises, and exceptions that reach the event loop. In a
// process of its own each would end that process, so it fails the run. The test runner does not receive them.

import { realProcess } from './globals/index.ts'

const THROWERS = {
  unhandledRejection: 'a promise that nobody handled',
  uncaughtException: 'a callback',
} as const
type Event = keyof typeof THROWERS

type Listener = (error: unknown, ...details: unknown[]) => void

/**
 * From now on `caught` is called with the errors that nobody handles. It returns whether they are those of simulated
 * code; others are passed on. Call the result to end that.
 */
export function catchErrors(caught: (error: unknown, thrower: string) => boolean): () => void {
  const ends = (['unhandledRejection', 'uncaughtException'] as const).map((event) =>
    divert(event, (error) => caught(error, THROWERS[event])),
  )
  return () => {
    for (const end of ends) end()
  }
}

function divert(event: Event, caught: (error: unknown) => boolean): () => void {
  const emitter: NodeJS.EventEmitter = realProcess
  const others = emitter.listeners(event) as Listener[]
  const listener: Listener = (error, ...details) => {
    if (caught(error)) return
    if (others.length === 0) throw error
    for (const other of others) other(error, ...details)
  }
  emitter.removeAllListeners(event)
  emitter.on(event, listener)
  return () => {
    emitter.off(event, listener)
    for (const other of others) emitter.on(event, other)
  }
}
