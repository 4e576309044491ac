// Clients that use a recipe, as an application would: they wait for locks, change things while they hold them, lead,
// push and pop. Runs of real processes (local/recipe-process.ts) and of the simulator (run.ts) have the same clients.
// They tell what they begin and how it ended; who reads that decides what it proves.

import { type Client, QuorateError } from '../../src/client/index.ts'
import {
  type HeldLock,
  ItemLostError,
  type Leadership,
  LockLostError,
  LockNotTakenError,
  lock,
  type Queue,
  queue,
  runAsLeader,
} from '../../src/recipes/index.ts'
import { DRAIN } from '../checker/queues.ts'
import type { Recipe } from '../sim/schedule/schedule.ts'
import type { OperationEnd, RecordedResult, Recorder, StoreOperation } from '../workload/history.ts'
import type { Random } from '../workload/random.ts'

const NAMES = ['a', 'b', 'c', 'd', 'e']
const QUEUE = 'jobs'
const PRIORITIES = 3
const POLL_MS = 100
/** No item becomes a dead letter. */
const ATTEMPTS_MAX = 1_000

/** One of the clients of a run. */
interface RecipeClient {
  readonly kv: Client
  readonly random: Random
  /** Time to live of the leases of locks and of the holds of consumers. A client is often silent for longer. */
  readonly ttlMs: number
  /** Fires when the client begins nothing more. */
  readonly over: AbortSignal
  /** A value that no client writes again. */
  value(): string
  /** Between two requests. */
  pause(): Promise<void>
  /** Ends early when it is over. */
  rest(ms: number): Promise<void>
  /** Records the invocation. The returned function records the outcome. */
  invoke(op: StoreOperation): (end: OperationEnd) => void
}

/** Resolves when the client is over and has ended what it had begun. */
export const runRecipe = (recipe: Recipe, client: RecipeClient): Promise<void> => CLIENTS[recipe](client)

const ok = (result: RecordedResult = {}): OperationEnd => ({ kind: 'ok', result })

/** The end of a call of a recipe that has thrown. With `written: 'no'` it has failed; in doubt it is unknown. */
function endFromError(error: unknown): OperationEnd {
  const isLost = error instanceof LockLostError || error instanceof ItemLostError
  if (isLost || error instanceof LockNotTakenError) return ok({ applied: false })
  if (!(error instanceof QuorateError)) throw error
  return { kind: error.written === 'no' ? 'fail' : 'unknown', why: error.code }
}

async function done(
  { invoke }: RecipeClient,
  op: StoreOperation,
  act: () => Promise<RecordedResult>,
): Promise<boolean> {
  const end = invoke(op)
  try {
    const result = await act()
    end(ok(result))
    return true
  } catch (error) {
    end(endFromError(error))
    return false
  }
}

// ---- locks

async function locks(one: RecipeClient): Promise<void> {
  const { kv, random, ttlMs } = one
  while (!one.over.aborted) {
    await one.pause()
    const name = random.pick(NAMES)
    const end = one.invoke({ f: 'lock', name })
    let held: HeldLock
    try {
      // Without a limit it gets it in the end, since everybody releases what he has.
      const waitMs = random.chance(0.3) ? Number.POSITIVE_INFINITY : 2 * ttlMs
      held = await lock(kv, name, { ttlMs, waitMs })
    } catch (error) {
      end(endFromError(error))
      continue
    }
    const { token } = held
    end(ok({ token }))
    await work(one, name, held)
    await done(one, { f: 'unlock', name, token }, async () => {
      await held.release()
      return {}
    })
    await tryLate(one, name, held)
  }
}

/** It has the lock no more, and tries all the same, mostly when another one has it. */
async function tryLate(one: RecipeClient, name: string, held: Holding): Promise<void> {
  if (!one.random.chance(0.3)) return
  await one.rest(one.random.pick([0, 100, 500]))
  await guarded(one, name, held, true)
}

type Holding = Pick<HeldLock, 'token' | 'signal' | 'guard' | 'txn'>

/** Some changes under the guard; also after it may have lost it, since a process that was stopped does not know. */
async function work(one: RecipeClient, name: string, held: Holding): Promise<void> {
  const { random } = one
  for (let left = 1 + random.below(5); left > 0 && !one.over.aborted; left--) {
    await guarded(one, name, held, random.chance(0.5))
    await one.pause()
    // It holds it for longer than its lease lasts: somebody keeps that alive.
    if (random.chance(0.02)) await one.rest(one.ttlMs + 1_000)
  }
}

/** `isBlind`: it does not read the clock before; only the store decides. */
async function guarded(one: RecipeClient, name: string, held: Holding, isBlind: boolean): Promise<void> {
  const { kv } = one
  const { token } = held
  const [key, value] = [`guarded/${name}`, one.value()]
  const put = { put: { key, value } }
  await done(one, { f: 'guarded-put', name, token, key, value }, async () => {
    if (!isBlind) return { revision: (await held.txn({ success: [put] })).revision }
    const { succeeded, revision } = await kv.txn({ compare: [held.guard()], success: [put] })
    return succeeded ? { revision } : { applied: false, revision }
  })
}

// ---- elections

async function elections(one: RecipeClient): Promise<void> {
  const { kv, random, ttlMs } = one
  while (!one.over.aborted) {
    await one.pause()
    const name = random.pick(NAMES)
    let end: ReturnType<RecipeClient['invoke']> | undefined = one.invoke({ f: 'lock', name })
    let last: Leadership | undefined
    const giveUp = AbortSignal.any([one.over, within(4 * ttlMs)])
    try {
      await runAsLeader(
        kv,
        name,
        async (leadership) => {
          // It may lead again after it was stopped.
          const begun = end ?? one.invoke({ f: 'lock', name })
          end = undefined
          last = leadership
          begun(ok({ token: leadership.token }))
          await work(one, name, leadership)
        },
        { ttlMs, signal: giveUp, onError: () => {} },
      )
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error
      end?.(ok({ applied: false }))
    }
    if (last !== undefined) await tryLate(one, name, last)
  }
}

/** A signal that fires after `ms`, as AbortSignal.timeout does, by the timers that the simulator has replaced. */
function within(ms: number): AbortSignal {
  const over = new AbortController()
  setTimeout(() => over.abort(), ms).unref()
  return over.signal
}

// ---- queues

async function queues(one: RecipeClient): Promise<void> {
  const { kv, random, ttlMs } = one
  const jobs = queue(kv, QUEUE, { visibilityMs: ttlMs, attemptsMax: ATTEMPTS_MAX })
  while (!one.over.aborted) {
    await one.pause()
    if (random.chance(0.45)) {
      const [value, priority] = [one.value(), random.below(PRIORITIES)]
      await done(one, { f: 'push', queue: QUEUE, value, priority }, async () => ({
        item: await jobs.push(value, { priority }),
      }))
      continue
    }
    const end = one.invoke({ f: 'pop', queue: QUEUE })
    try {
      const item = await jobs.pop({ waitMs: random.pick([0, 0, 500]) })
      if (item === undefined) {
        end(ok({ value: null }))
        continue
      }
      const { id, token, attempts, priority } = item
      end(ok({ item: id, token, attempts, priority, value: item.text() }))
      // An item that was delivered again is held for a while, because its former holder may not know that it has lost
      // it.
      await one.rest(attempts > 1 ? random.between(0, ttlMs / 2) : random.pick([0, 0, 0, 20, 200]))
      const draw = random.next()
      const settled = { queue: QUEUE, item: id, token }
      // Forgotten: it comes back by itself.
      if (draw < 0.05) continue
      // Kept for longer than it may be: another one has it by now.
      if (draw < 0.15) await one.rest(ttlMs * random.between(1, 1.5))
      await (draw > 0.9
        ? done(one, { f: 'nack', ...settled }, () => item.nack().then(() => ({})))
        : done(one, { f: 'ack', ...settled }, () => item.ack().then(() => ({}))))
    } catch (error) {
      end(endFromError(error))
    }
  }
}

/**
 * Empties the queue when nobody else uses it any more: it waits until no consumer holds an item, and takes one after
 * the other. Returns why it is not empty when there is no more time; undefined: it is.
 */
export async function drain(
  kv: Client,
  recorder: Recorder,
  hasTime: () => boolean,
  rest: (ms: number) => Promise<void>,
): Promise<string | undefined> {
  const jobs = queue(kv, QUEUE, { attemptsMax: ATTEMPTS_MAX })
  let why = 'it was not tried'
  while (hasTime()) {
    try {
      const { ready, held } = await jobs.len()
      if (ready + held === 0) return undefined
      why = `${ready} items are ready, and ${held} are held`
      if (held > 0) await rest(POLL_MS)
      else while (await takeOne(jobs, recorder));
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error
      why = error.message
      await rest(POLL_MS)
    }
  }
  return why
}

/** Takes an item, if there is one, and acknowledges it. */
async function takeOne(jobs: Queue, recorder: Recorder): Promise<boolean> {
  const pop = recorder.invoke(DRAIN, 'any', { f: 'pop', queue: QUEUE })
  const item = await orUnknown(recorder, pop, () => jobs.pop())
  if (item === undefined) {
    recorder.ok(pop, { value: null })
    return false
  }
  const { id, attempts, priority, token } = item
  recorder.ok(pop, { item: id, token, attempts, priority, value: item.text() })
  const ack = recorder.invoke(DRAIN, 'any', { f: 'ack', queue: QUEUE, item: id, token })
  await orUnknown(recorder, ack, () => item.ack())
  recorder.ok(ack, {})
  return true
}

async function orUnknown<T>(recorder: Recorder, id: number, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    recorder.unknown(id, String(error))
    throw error
  }
}

const CLIENTS: Readonly<Record<Recipe, (one: RecipeClient) => Promise<void>>> = {
  lock: locks,
  queue: queues,
  election: elections,
}
